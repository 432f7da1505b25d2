"""Questions about a transcript: find passages that may answer, let a writer answer, remember the chat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from stt_lab.errors import BadInput, ModelMissing
from stt_lab.library import Library
from stt_lab.library.passages import IndexedPassages
from stt_lab.recall.indexing import indexed
from stt_lab.recall.values import ChatAnswer, ChatSource
from stt_lab.text.words import telling
from stt_lab.types import TextSpan
from stt_lab.writing import quotes
from stt_lab.writing.passages import Passage, apart, by_words, passages, ranked, said
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import Answer, Question
from stt_lab.writing.writer import writer

PASSAGES = 8  # passages that the writer reads
NEAREST = 3  # segments shown when there is no answer
WORDS = 0.02  # weight of a point of BM25, against the cosine
FEW = 2  # meaningful words up to which a question depends on the one before
_REFERS = re.compile(
    r"\b(he|she|it|they|him|her|them|his|hers|its|their|theirs|this|that|these|those|there|then|so|else|one|ones)\b",
    re.IGNORECASE,
)


def ask(
    library: Library, tools: Tools, account_id: int, transcript_id: int, text: str, session_id: str | None, model: str
) -> ChatAnswer:
    """Answer a question and store it in the chat. Raises NotFound for a chat of another account or transcript."""
    chat_id, history = library.chats.open(account_id, transcript_id, session_id)
    who = writer(tools, model, answers=True)
    source, index, warnings = _indexed(library, tools, account_id, transcript_id)
    if not source.text.strip():
        raise BadInput("This transcript contains no speech. Ask about another one.")
    asked = question(source, index, tools, text, history)
    made = who.answer(source, asked)
    near = () if made.found else tuple(place.parts[0].order for place in quotes.places(tools, source, asked)[:NEAREST])
    answer = _answer(library, transcript_id, source, asked, made, near, chat_id, warnings)
    sources = [vars(source) for source in answer.sources]
    kept = {"question": text, "answer": made.answer, "sources": sources, "model": made.model}
    library.chats.add(account_id, transcript_id, chat_id, **kept)
    return answer


def _indexed(
    library: Library, tools: Tools, account_id: int, transcript_id: int
) -> tuple[SourceText, IndexedPassages | None, tuple[str, ...]]:
    try:
        return *indexed(library, tools, account_id, transcript_id), ()
    except ModelMissing:
        why = "Passages were compared by words only. To compare meanings, run `stt-lab models pull` on the server."
        return SourceText.of(library.transcript(account_id, transcript_id)), None, (why,)


def question(
    source: SourceText, index: IndexedPassages | None, tools: Tools, text: str, history: Sequence[tuple[str, str]] = ()
) -> Question:
    """Return the question with the passages that may answer it, ranked by the sum of cosine and BM25.

    Within one text both scores are comparable, and their sum finds more than rank fusion (docs/text.md; Bruch, Gai and
    Ingber 2023 agree).
    """
    asked = Question(text, standalone(text, [earlier for earlier, _ in history]), (), (), tuple(history))
    places = passages(source) if index is None else tuple(Passage(*place) for place in index.places)
    texts, phrasings = [said(source, place) for place in places], asked.phrasings
    matches = [by_words(phrasing, texts) for phrasing in phrasings]
    scores = [WORDS * sum(match) / len(phrasings) for match in zip(*matches, strict=True)]
    if index is not None and places:
        near = index.vectors @ tools.embed(phrasings).mean(axis=0)
        scores = [score + float(cosine) for score, cosine in zip(scores, near, strict=True)]
    best = apart(ranked(scores), places, PASSAGES)
    spans = tuple(_span(source, places[number]) for number in best)
    return replace(asked, passages=spans, scores=tuple(_share(scores[number]) for number in best))


def standalone(text: str, earlier: Sequence[str]) -> str:
    """Prepend the earlier questions that a question depends on: if it has few words of its own, or a pronoun."""
    leans = len(telling(text)) <= FEW or _REFERS.search(text)
    if not earlier or not leans:
        return text
    return f"{standalone(earlier[-1], earlier[-2:-1])} {text}"


def _span(source: SourceText, place: Passage) -> TextSpan:
    return TextSpan(source.segments[place.first].start, source.segments[place.last].end)


def _share(score: float) -> float:
    return round(min(1.0, max(0.0, score)), 4)


# Sources


def _answer(
    library: Library,
    transcript_id: int,
    source: SourceText,
    asked: Question,
    made: Answer,
    near: Sequence[int],
    chat_id: str,
    warnings: tuple[str, ...],
) -> ChatAnswer:
    orders = [order for span in made.spans for order in source.segment_orders((span,))] if made.found else near
    sources = _sources(library, transcript_id, source, asked, orders)
    shown: tuple[tuple[ChatSource, ...], tuple[ChatSource, ...]] = (sources, ()) if made.found else ((), sources)
    return ChatAnswer(made.answer, shown[0], chat_id, made.model, made.found, shown[1], warnings + made.warnings)


def _sources(
    library: Library, transcript_id: int, source: SourceText, asked: Question, orders: Iterable[int]
) -> tuple[ChatSource, ...]:
    """Return segments, each once, with the score of the best passage that contains it."""
    wanted = list(dict.fromkeys(orders))
    ids = library.segment_ids(transcript_id, wanted)
    made = []
    for order in wanted:
        part = source.segments[order]
        over = (score for span, score in zip(asked.passages, asked.scores, strict=True) if _touches(span, part))
        made.append(ChatSource(order, ids.get(order, 0), part.of(source.text), max(over, default=0.0), part.begin))
    return tuple(made)


def _touches(span: TextSpan, other: TextSpan) -> bool:
    return span.start < other.end and other.start < span.end
