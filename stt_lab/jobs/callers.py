"""Keep who submitted a job in its row."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from stt_lab.caller import Caller
from stt_lab.store.queue import JobRow


def to_row(caller: Caller) -> dict[str, Any]:
    """Convert a caller for the job's row."""
    return asdict(caller) | {"scopes": sorted(caller.scopes)}


def caller_of(row: JobRow) -> Caller:
    """Return the caller who submitted a job; for rows of older versions, only its account."""
    if row.caller is None:
        return Caller(f"account {row.account_id}", account_id=row.account_id, client=row.client)
    return Caller(**row.caller | {"scopes": frozenset(row.caller["scopes"])})
