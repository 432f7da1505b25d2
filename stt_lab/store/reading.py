"""Read lists of which one row may be damaged."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import Session

log = logging.getLogger(__name__)
DAMAGED = (ValueError, TypeError)  # a time or a number that is none


def readable(session: Session, wanted: Select[Any], key: Any) -> Sequence[Any]:
    """Return the rows of a query; if one cannot be decoded, the others. `key` is the column that identifies a row."""
    try:
        return session.execute(wanted).all()
    except DAMAGED:
        found: list[Any] = []
        for number in session.scalars(wanted.with_only_columns(key)).all():
            try:
                found += session.execute(wanted.where(key == number).limit(None).offset(None)).all()
            except DAMAGED:
                log.error("a row of %s is damaged and was left out: %s", key, number)
        return found
