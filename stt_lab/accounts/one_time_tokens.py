"""Tokens that work once, for a short time: one signs an administrator in, another opens a live stream.

A token is a file of the data directory, named by its digest. So any process that may write there can make one
(`stt-lab sign-in`), and any server on the directory can take it; removing the file decides who did.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SIGN_IN_S = 15 * 60
STREAM_TOKEN_S = 60
TOKEN_BYTES = 32
STREAM_TOKEN = re.compile(r"stream_(\d{1,18})_[0-9a-f]{64}")


class OneTimeTokens:
    """The valid tokens of a folder: at most `most` at once, a further one ends the oldest."""

    def __init__(
        self, folder: Path, lifetime_s: float, most: int, prefix: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._folder, self._lifetime_s, self._most, self._prefix = folder, lifetime_s, most, prefix
        self._clock = clock

    def make(self, note: str = "") -> str:
        """Make a token. Whoever takes it gets the note."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tidy()
        token = self._prefix + secrets.token_hex(TOKEN_BYTES)
        path = self._path(token)
        path.touch(0o600)
        path.write_text(f"{self._clock() + self._lifetime_s} {note}")
        return token

    def take(self, token: str) -> str | None:
        """Return the note of a valid token, and make it invalid; None if it is not valid."""
        path = self._path(token)
        try:
            until, _, note = path.read_text().partition(" ")
            left = float(until) - self._clock()
            path.unlink()  # fails for all but one who take it at once
        except (OSError, ValueError):
            return None
        return note if 0 < left <= self._lifetime_s else None  # more is left after the clock was set back

    def _path(self, token: str) -> Path:
        return self._folder / hashlib.sha256(token.encode()).hexdigest()

    def _tidy(self) -> None:
        """Remove tokens that have expired, and the oldest ones beyond the limit."""
        known = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # taken meanwhile
                known.append((path.stat().st_mtime, path))
        oldest_first = sorted(known)
        for number, (made, path) in enumerate(oldest_first):
            if len(oldest_first) - number >= self._most or made < self._clock() - self._lifetime_s:
                path.unlink(missing_ok=True)


def sign_in_tokens(data_dir: Path) -> OneTimeTokens:
    return OneTimeTokens(data_dir / "sign-in", SIGN_IN_S, most=20)


def stream_tokens(data_dir: Path, account_id: int) -> OneTimeTokens:
    """Return the tokens with which an account opens streams. The note is the id of its key, "" for none."""
    return OneTimeTokens(
        data_dir / "stream-tokens" / str(account_id), STREAM_TOKEN_S, most=100, prefix=f"stream_{account_id}_"
    )


def account_of(token: str) -> int | None:
    """Return the account whose stream a token opens; None if it is no such token."""
    found = STREAM_TOKEN.fullmatch(token)
    return int(found[1]) if found else None
