"""List the caller's transcripts for a dropdown."""

from __future__ import annotations

from datetime import datetime

from stt_lab.operations.library import SearchResult, TranscriptInfo
from stt_lab.text import clock
from stt_lab.ui.text.visit import PageRequest

MOST = 100  # transcripts in the list; search finds the others
NEAR = 10  # matches by meaning, if no transcript contains the words
TITLE, SNIPPET = 60, 70  # characters
EMPTY = "Your library is empty. Transcribe a recording first, or paste a text."
NOTHING = "No transcript was found. Try another search."
ONLY_NEAR = "No transcript contains all of these words. The list shows the closest matches."

Choices = list[tuple[str, str]]


def choices(page: PageRequest, query: str) -> tuple[Choices, str]:
    """Return (label, id) pairs, newest first, and a notice. Raises the errors of the operations."""
    if not query.strip():
        listed = page.call("transcripts", {"status": "done", "limit": MOST}).results
        return [(_listed(one), str(one.id)) for one in listed], "" if listed else EMPTY
    found = page.call("search_transcripts", {"query": query, "limit": MOST}).results
    near = () if found else page.call("search_transcripts", {"query": query, "limit": NEAR, "mode": "meaning"}).results
    said = "" if found else ONLY_NEAR if near else NOTHING
    return [(_found(one), str(one.id)) for one in found or near], said


def _listed(one: TranscriptInfo) -> str:
    return _joined(_cut(one.title, TITLE), clock(one.duration), _day(one.created))


def _found(one: SearchResult) -> str:
    snippet = one.snippet.replace("⟦", "").replace("⟧", "")
    said = f"“{_cut(snippet, SNIPPET)}”" if one.segment_order is not None else ""
    return _joined(_cut(one.title, TITLE), _day(one.created), said)


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def _cut(text: str, most: int) -> str:
    plain = " ".join(text.split())
    return f"{plain[: most - 1]}…" if len(plain) > most else plain


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y}"
