"""Analyses by a language model, in the form that `analyses` takes; each finding rests on lines of the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from stt_lab.text import UNSPACED
from stt_lab.text.words import telling, words
from stt_lab.types import Entity, TextSpan
from stt_lab.writing import prompts, values
from stt_lab.writing.actions import Action
from stt_lab.writing.annotated_text import GroundedStatement, Sentence
from stt_lab.writing.grounding import grounded, plain
from stt_lab.writing.llm_reader import Fields, LlmReader
from stt_lab.writing.phrases import Phrase
from stt_lab.writing.prompts import LlmTask, PromptChunk
from stt_lab.writing.questions import AskedQuestion
from stt_lab.writing.sentiment import SentenceSentiment, label
from stt_lab.writing.values import Card

TOPICAL = 0.2  # least cosine between a subject and a sentence about it
ANSWERING = 0.2  # least cosine between an answer, often a word or two, and its sentence
PASSAGES = 3  # passages that are read for an answer: a CPU reads about 30 tokens per second


def actions(reader: LlmReader) -> tuple[Action, ...]:
    return tuple(
        Action(
            statement.text,
            _owner(statement, fields["owner"]),
            _verbatim(fields["due"], statement.cited),
            _stretch(statement),
        )
        for statement, fields in _items(reader, prompts.ACTIONS, "task")
    )


def questions(reader: LlmReader) -> tuple[AskedQuestion, ...]:
    """Find lines that ask a question, each once, and whether a later line answers."""
    found: dict[int, AskedQuestion] = {}
    for chunk, answer in _answers(reader, prompts.QUESTIONS):
        for item in answer["items"]:
            asked = chunk.lines[int(item["question"]) - 1]
            if all(reader.count_kept([asked.text.rstrip(" \"'”’»)").endswith(("?", "？", "؟"))])):
                answered = (item["answer"] or 0) > item["question"]
                found.setdefault(asked.number, AskedQuestion(asked.text, asked.spans[0], answered))
    return tuple(found[number] for number in sorted(found))


def topics(reader: LlmReader) -> tuple[Phrase, ...]:
    """Find subjects with the sentences about them; the score counts sentences."""
    cited: dict[str, dict[int, Sentence]] = {}
    written: dict[str, str] = {}  # spelling of the first occurrence
    for statement, _ in _items(reader, prompts.TOPICS, "topic", TOPICAL):
        key = written.setdefault(statement.text.casefold(), statement.text).casefold()
        cited.setdefault(key, {}).update((one.number, one) for one in statement.cited)
    most = max(map(len, cited.values()), default=1)
    return tuple(
        Phrase(written[key], round(len(found) / most, 4), tuple(found[number].spans[0] for number in sorted(found)))
        for key, found in sorted(cited.items(), key=lambda pair: -len(pair[1]))
    )


def sentence_sentiments(reader: LlmReader) -> tuple[SentenceSentiment, ...]:
    """Rate the sentiment of every sentence."""
    scores = dict.fromkeys(range(len(reader.annotated.sentences)), 0.0)
    for chunk, answer in _answers(reader, prompts.FEELINGS):
        for sign, name in ((1.0, "positive"), (-1.0, "negative")):
            for one in chunk.cited(answer[name]):
                scores[one.number] += sign
    return tuple(
        SentenceSentiment(one.start, one.end, one.text, label(scores[one.number]), scores[one.number])
        for one in reader.annotated.sentences
    )


def names(reader: LlmReader) -> tuple[Entity, ...]:
    """Find names, verbatim, in the lines that the model gives."""
    found: dict[TextSpan, Entity] = {}
    for chunk, answer in _answers(reader, prompts.NAMES):
        for item in answer["items"]:
            places = list(_places(item["text"], chunk.cited(item["lines"])))
            reader.count_kept([bool(places)])
            for span, written in places:
                found.setdefault(span, Entity(span.start, span.end, written, item["label"]))
    return tuple(found[span] for span in sorted(found, key=lambda span: (span.start, -span.end)))


FINDERS: dict[str, Callable[[LlmReader], Sequence[Any]]] = {
    "action_items": actions,
    "questions": questions,
    "topics": topics,
    "sentiment": sentence_sentiments,
    "entities": names,
}


def cards(reader: LlmReader, most: int) -> tuple[Card, ...]:
    """Make questions whose answers are verbatim in the text."""
    made = []
    for statement, fields in _items(reader, prompts.cards(min(most, 8)), "question"):
        answer = _verbatim(fields["answer"], statement.cited)
        if answer:
            kinds = {one.text: one.label for one in reader.annotated.entities(_stretch(statement))}
            made.append(Card(statement.text, answer, _stretch(statement), kinds.get(answer, "phrase")))
    return tuple(made[:most])


def answer(reader: LlmReader, question: values.Question, doubtful: bool = False) -> GroundedStatement | None:
    """Answer a question from the closest passages, chunk by chunk until one answers; None if none does.

    `doubtful` tells that there are signs that the text does not answer it: then the model must be surer that it does.
    """
    near = question.passages[:PASSAGES]
    lines = [one for one in reader.annotated.sentences if any(span.start <= one.start < span.end for span in near)]
    if not _tells(reader, question, lines, doubtful):
        return None
    task = prompts.answered(question.text, question.history)
    for chunk, said in reader.answers(task, reader.chunks_of(lines, task)):
        statement = GroundedStatement.about(plain(said), _bearing(said, question.query, chunk.lines))
        if not _open(said, statement) and all(
            reader.count_kept(grounded(reader.tools, [statement], reader.annotated.language, ANSWERING))
        ):
            return statement
    return None


def _tells(reader: LlmReader, question: values.Question, lines: Sequence[Sentence], doubtful: bool) -> bool:
    """Return whether the model finds it likely enough that the lines answer the question, if its thresholds are
    known."""
    if not reader.model.yes_least:
        return True
    task = prompts.tells(question.text, question.history)
    shares = [
        reader.likelihoods(task, chunk, ("yes", "no", prompts.UNKNOWN)) for chunk in reader.chunks_of(lines, task)
    ]
    least = reader.model.yes_least[doubtful]
    return any(not share or share[0] >= least * sum(share) for share in shares)


def _open(said: str, statement: GroundedStatement) -> bool:
    """Return whether an answer says that it is unknown; a line may itself say that something is unknown."""
    return words(said) == [prompts.UNKNOWN] or prompts.UNKNOWN in set(words(said)) - set(words(statement.said))


def _bearing(said: str, asked: str, lines: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """Return the fewest lines that contain the words of an answer; among equals, those closer to the question."""
    has = [set(telling(f"{one.speaker or ''} {one.text}")) for one in lines]
    left, about = set(telling(said)), set(telling(asked))
    found: set[int] = set()
    while not found or (len(found) < prompts.CITED and left & set().union(*has)):
        best = max(range(len(lines)), key=lambda place: (len(left & has[place]), len(about & has[place])))
        found.add(best)
        left -= has[best]
    return tuple(lines[place] for place in sorted(found))


def _answers(reader: LlmReader, task: LlmTask) -> Iterator[tuple[PromptChunk, Any]]:
    return reader.answers(task, reader.chunks(task))


def _items(reader: LlmReader, task: LlmTask, name: str, *near: float) -> Iterator[tuple[GroundedStatement, Fields]]:
    return (item for found in _answers(reader, task) for item in reader.items(*found, name, *near))


def _stretch(statement: GroundedStatement) -> TextSpan:
    return TextSpan(statement.start, statement.end)


def _owner(statement: GroundedStatement, named: str | None) -> str | None:
    """Return the named owner if it is a speaker of the lines, or if the lines contain the name."""
    return (
        named if named in {one.speaker for one in statement.cited if one.speaker} else _verbatim(named, statement.cited)
    )


def _verbatim(said: str | None, cited: Iterable[Sentence]) -> str | None:
    """Return a quote as written in the first sentence that contains it; None if none does."""
    return next((written for _, written in _places(said or "", cited)), None)


def _places(said: str, cited: Iterable[Sentence]) -> Iterator[tuple[TextSpan, str]]:
    """Yield the place of a quote in each sentence, ignoring case, and its spelling there."""
    words = r"\s+".join(map(re.escape, said.split()))
    pattern = re.compile(words if UNSPACED.search(said) else rf"(?<!\w){words}(?!\w)", re.IGNORECASE)
    for one in cited:
        match = pattern.search(one.text) if words else None
        if match:
            yield TextSpan(one.start + match.start(), one.start + match.end()), match[0]
