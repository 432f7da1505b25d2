"""Tokens of sign-in addresses: each signs an administrator in once, within 15 minutes.

A token is a file of the data directory, named by its digest. So any process that may write there can make one
(`stt-lab sign-in`), and any server on the directory can take it; removing the file decides who did.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LIFETIME_S = 15 * 60
MOST = 20  # tokens that are valid at once; a further one ends the oldest
TOKEN_BYTES = 32


class SignInTokens:
    """The valid tokens of a data directory."""

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = data_dir / "sign-in"
        self._clock = clock

    def make(self) -> str:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tidy()
        token = secrets.token_hex(TOKEN_BYTES)
        path = self._path(token)
        path.touch(0o600)
        path.write_text(str(self._clock() + LIFETIME_S))
        return token

    def take(self, token: str) -> bool:
        """Return whether a token is valid, and make it invalid."""
        path = self._path(token)
        try:
            left = float(path.read_text()) - self._clock()
            path.unlink()  # fails for all but one who take it at once
        except (OSError, ValueError):
            return False
        return 0 < left <= LIFETIME_S  # more is left after the clock was set back

    def _path(self, token: str) -> Path:
        return self._folder / hashlib.sha256(token.encode()).hexdigest()

    def _tidy(self) -> None:
        """Remove tokens that have expired, and the oldest ones beyond MOST."""
        known = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # taken meanwhile
                known.append((path.stat().st_mtime, path))
        oldest_first = sorted(known)
        for number, (made, path) in enumerate(oldest_first):
            if len(oldest_first) - number >= MOST or made < self._clock() - LIFETIME_S:
                path.unlink(missing_ok=True)
