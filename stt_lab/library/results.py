"""Stored results of transcripts: summaries, analyses, documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stt_lab.store import kept as store
from stt_lab.store.database import Database
from stt_lab.store.models import now


@dataclass(frozen=True)
class ResultKey:
    """Identifies a result. When the text or a name changes, the digest changes, and the old result is no longer
    found."""

    transcript_id: int
    kind: str  # summarize, analyze or generate
    text_digest: str  # SHA-256 of text, names and times
    key: str  # SHA-256 of the parameters and the writer


class KeptResults:
    """Stored results by key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, asked: ResultKey) -> dict[str, Any] | None:
        with self._database.read() as session:
            return store.get(session, asked.transcript_id, asked.key, asked.text_digest)

    def put(self, asked: ResultKey, model: str, result: dict[str, Any]) -> None:
        """Store a result in place of an earlier one, and delete results for earlier versions of the text.

        Nothing is stored for a transcript that was deleted meanwhile.
        """
        row = {"kind": asked.kind, "model": model, "result": result, "created": now(), "script": asked.text_digest}
        with self._database.write() as session:
            store.put(session, asked.transcript_id, asked.key, row)
