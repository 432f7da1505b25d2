"""What was made of transcripts and is given again: summaries, analyses, documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stt_lab.store import kept as store
from stt_lab.store.database import Database
from stt_lab.store.models import now


@dataclass(frozen=True)
class ResultKey:
    """What a result is of. Another text, or other names in it, is another script: then nothing old is given."""

    transcript_id: int
    kind: str  # summarize, analyze or generate
    script: str  # SHA-256 of text, names and times
    key: str  # SHA-256 of the parameters and of who writes


class KeptResults:
    """Results by what they are of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, asked: ResultKey) -> dict[str, Any] | None:
        with self._database.read() as session:
            return store.get(session, asked.transcript_id, asked.key, asked.script)

    def put(self, asked: ResultKey, model: str, result: dict[str, Any]) -> None:
        """In the place of an earlier one; what was made of an earlier text goes.

        Nothing is kept of a transcript that was deleted meanwhile.
        """
        row = {"kind": asked.kind, "model": model, "result": result, "created": now(), "script": asked.script}
        with self._database.write() as session:
            store.put(session, asked.transcript_id, asked.key, row)
