"""Find a transcript of an account; one of another account is not found."""

from __future__ import annotations

from stt_lab.errors import NotFound
from stt_lab.library import parameters
from stt_lab.store import transcripts
from stt_lab.store.database import Session
from stt_lab.store.transcripts import TranscriptHeader

UNKNOWN = "The transcript was not found."


def found(session: Session, account_id: int, id_or_slug: int | str, *, for_update: bool = False) -> TranscriptHeader:
    """Return a transcript of the account by number or slug. Raises NotFound."""
    key = parameters.key(id_or_slug)
    row = None if key is None else transcripts.find(session, account_id, key, for_update=for_update)
    if row is None:
        raise NotFound(UNKNOWN)
    return row
