"""Search an account's transcripts by meaning: MiniLM and full text, merged by reciprocal rank."""

from __future__ import annotations

from dataclasses import dataclass

from stt_lab.errors import ModelMissing
from stt_lab.library import Library, SearchHit
from stt_lab.library.parameters import check_window
from stt_lab.library.passages import NearestPassage
from stt_lab.writing.passages import fused
from stt_lab.writing.tools import Tools

LEAST = 0.25  # cosine below which a passage is unrelated to a query
MOST = 200  # transcripts that a search can return
WORDS = 0.5  # weight of the search by words, against 1 for meaning (docs/text.md)


@dataclass(frozen=True)
class MeaningResults:
    """One page of results."""

    count: int  # all results, at most MOST
    results: tuple[tuple[SearchHit, float], ...]  # with scores, best first
    warnings: tuple[str, ...] = ()


def by_meaning(
    library: Library, tools: Tools, account_id: int, query: str, limit: int = 20, offset: int = 0
) -> MeaningResults:
    """Return transcripts close to a query, each with its best place, best first."""
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
    """Return the closest passages by vectors, and warnings."""
    try:
        vector = tools.embed([query])[0]
    except ModelMissing:
        why = "Transcripts were compared by words only. To compare meanings, run `stt-lab models pull` on the server."
        return [], (why,)
    done, indexed = library.passages.counts(account_id)
    missing = done - indexed
    warning = f"{missing} of {done} transcripts were searched by words only. Their index is not ready yet."
    return library.passages.nearest(account_id, vector, LEAST, MOST), (warning,) if missing else ()
