"""How fast recordings were recognised, of what stored transcripts say about their making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from stt_lab.store.models import TranscriptRow

WINDOW = 1000  # newest transcripts of all accounts that are looked at
EACH = 20  # recordings of a model that count
SHORTEST_S = 10.0  # recordings under that length say little about speed


@dataclass(frozen=True)
class RecognitionSpeed:
    """How fast a model has recognised: seconds of work per second of sound, the median over recordings."""

    rtf: float
    recordings: int


def speeds(session: Session, device: str) -> dict[str, RecognitionSpeed]:
    """Return the speed of each model on a kind of device: of its newest recordings of SHORTEST_S and more.

    Only transcripts that were not changed since count. Reads the numbers and models of WINDOW transcripts, and of EACH
    of a model who made them: no text, title or account.
    """
    last = session.scalar(select(func.max(TranscriptRow.id))) or 0
    wanted = select(TranscriptRow.id, TranscriptRow.model, TranscriptRow.duration).where(
        TranscriptRow.id > last - WINDOW,
        TranscriptRow.status == "done",
        TranscriptRow.duration >= SHORTEST_S,
        TranscriptRow.revision == 1,  # later ones may tell of a part that was heard again
    )
    rows: dict[str, list[Any]] = {}
    for row in session.execute(wanted.order_by(TranscriptRow.id.desc())):
        rows.setdefault(row.model, []).append(row)
    found = {}
    for model, recordings in rows.items():
        ratios = (_ratio(session, row, device) for row in recordings[: 2 * EACH])
        counted = list(islice((ratio for ratio in ratios if ratio is not None), EACH))
        if counted:
            found[model] = RecognitionSpeed(round(median(counted), 3), len(counted))
    return found


def _ratio(session: Session, row: Any, device: str) -> float | None:
    """Return the seconds of recognition per second of a transcript's sound; None if it does not say so."""
    try:
        made = session.scalar(select(TranscriptRow.details["provenance"]).where(TranscriptRow.id == row.id))
    except DBAPIError:  # SQLite cannot read damaged details
        return None
    first = _first(made)
    if first.get("model") != row.model or first.get("device") != device:
        return None
    elapsed = first.get("elapsed")
    if not isinstance(elapsed, int | float) or not isinstance(row.duration, int | float):  # damaged
        return None
    return elapsed / row.duration if elapsed > 0 else None


def _first(made: object) -> Mapping[str, Any]:
    """Return the engine that recognised the recording; a diarizer stands behind it."""
    rows: Sequence[Any] = made if isinstance(made, list) else ()
    return rows[0] if rows and isinstance(rows[0], dict) else {}
