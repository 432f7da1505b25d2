"""What the administrator has chosen for the installation. Each statement runs in the caller's transaction."""

from __future__ import annotations

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from stt_lab.errors import SttError
from stt_lab.settings import Settings
from stt_lab.store.database import exists, named_database
from stt_lab.store.models import ChoiceRow

SPEECH_MODEL = "speech model"  # which one transcribes if a request names none


def chosen(session: Session, what: str) -> str:
    """Return what was chosen; "" if nothing was."""
    return session.scalar(select(ChoiceRow.value).where(ChoiceRow.name == what)) or ""


def choose(session: Session, what: str, value: str) -> None:
    """Choose a value, in place of an earlier one; "" for none."""
    session.execute(delete(ChoiceRow).where(ChoiceRow.name == what))
    if value:
        session.execute(insert(ChoiceRow).values(name=what, value=value))


def peek(settings: Settings, what: str) -> str:
    """Return what was chosen in the database of these settings; "" if there is none, or it cannot be read.

    For processes that do not use the database otherwise: it is neither made nor migrated.
    """
    if not exists(settings):
        return ""
    database = named_database(settings)
    try:
        with database.read() as session:
            return chosen(session, what)
    except (SttError, SQLAlchemyError):  # away, or older than this version
        return ""
    finally:
        database.close()
