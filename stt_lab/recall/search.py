"""Search over an account's transcripts by meaning: MiniLM and full text, fused by reciprocal rank."""

from __future__ import annotations

from dataclasses import dataclass

from stt_lab.errors import ModelMissing
from stt_lab.library import Library, SearchHit
from stt_lab.library.parameters import check_window
from stt_lab.library.passages import NearestPassage
from stt_lab.writing.passages import fused
from stt_lab.writing.tools import Tools

LEAST = 0.25  # cosine below which a passage has nothing to do with a query
MOST = 200  # transcripts that a search finds
WORDS = 0.5  # weight of a search by words, against 1 for that by meaning: see docs/text.md


@dataclass(frozen=True)
class MeaningResults:
    count: int  # of all that were found, MOST at most
    results: tuple[tuple[SearchHit, float], ...]  # with scores, best first
    warnings: tuple[str, ...] = ()


def by_meaning(
    library: Library, tools: Tools, account_id: int, query: str, limit: int = 20, offset: int = 0
) -> MeaningResults:
    """Transcripts that speak of what a query says, each with its best place, best first."""
    check_window(limit, offset)
    words = library.mentioning(account_id, query, MOST)
    near, warnings = _near(library, tools, account_id, query)
    passages = {one.transcript_id: one for one in near}
    scores = dict([*fused((1.0, passages), (WORDS, words)).items()][:MOST])
    chosen = [*scores][offset : offset + limit]
    places = library.passages.places([number for number in chosen if number in passages])
    first = {number: places[number][passages[number].passage] for number in places}
    hits = library.hits(account_id, chosen, query, first)
    return MeaningResults(len(scores), tuple((hit, round(scores[hit.id], 5)) for hit in hits), warnings)


def _near(library: Library, tools: Tools, account_id: int, query: str) -> tuple[list[NearestPassage], tuple[str, ...]]:
    """What is near by vectors, and what is to be said about it."""
    try:
        vector = tools.embed([query])[0]
    except ModelMissing:
        why = "Only words were compared: the model that compares meanings is not here (`stt-lab models pull`)."
        return [], (why,)
    done, indexed = library.passages.counts(account_id)
    missing = done - indexed
    warning = f"{missing} of {done} transcripts were searched by words only: their index is still being made."
    return library.passages.nearest(account_id, vector, LEAST, MOST), (warning,) if missing else ()
