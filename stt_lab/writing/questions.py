"""Find the questions in a text, and whether somebody answers them. English, by punctuation and grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from stt_lab.types import TextSpan
from stt_lab.writing.actions import actions
from stt_lab.writing.annotated_text import AnnotatedText, Sentence
from stt_lab.writing.english import either

REPLY = 4  # most sentences of a reply
NEAR = 0.3  # least cosine between a question and a sentence on the same subject
EDGE = 80  # characters at the start and the end of a sentence that show whether it asks

_WHAT, _BE, _WHO = (either("questions", name) for name in ("asking", "inverted", "persons"))
_OPENING = rf"^\W*(?:{either('questions', 'opening')}\b\W*)*"
_MARK = re.compile(r"(?<![?？؟])[?？؟]+[\"'”’»)\]]*$")
_ASKING = re.compile(rf"\b{_WHAT}\b", re.IGNORECASE)
# Question tags that ask for nothing: "..., isn't it?", "Right?"
_TAG = re.compile(
    rf"(?:,|\.|^)\s*(?:{_BE}(?:n['’]?t)?\s+{_WHO}(?:\s+not)?|{either('questions', 'tags')})\s*\?\W*$", re.IGNORECASE
)
_INVERTED = re.compile(rf"{_OPENING}(?:{_WHAT}\s+(?:\w+\s+)?)?{_BE}\s+(?:{_WHO}|the|your|our|any)\b", re.IGNORECASE)
_YES_NO = re.compile(rf"{_OPENING}{either('questions', 'yes_no')}\b", re.IGNORECASE)
_NO = re.compile(r"\W*no\b", re.IGNORECASE)
_KNOWS = re.compile(rf"\b{either('questions', 'knows')}\b", re.IGNORECASE)
_UNKNOWN = re.compile(rf"\b{either('questions', 'unknown')}\b", re.IGNORECASE)


@dataclass(frozen=True)
class AskedQuestion:
    """A question that somebody asks in the text."""

    text: str
    span: TextSpan
    answered: bool


def questions(annotated: AnnotatedText) -> tuple[AskedQuestion, ...]:
    """Return the questions in the order of the text. Requests to do something are action items instead."""
    asked = [sentence for sentence in annotated.sentences if asks(sentence.text)]
    requests = (
        {place for action in actions(annotated) for place in range(action.span.start, action.span.end)}
        if asked
        else set()
    )
    kept = [one for one in asked if not (one.end - 2 in requests and _half(one, requests))]
    replies = {one.number: list(islice(_reply(annotated, one), REPLY)) for one in kept}
    verdicts = {one.number: answered(one, replies[one.number]) for one in kept}
    near = _near(annotated, {number: replies[number] for number, verdict in verdicts.items() if verdict is None})
    return tuple(
        AskedQuestion(one.text, TextSpan(one.start, one.end), near.get(one.number, bool(verdicts[one.number])))
        for one in kept
    )


def _half(sentence: Sentence, places: set[int]) -> bool:
    return sum(place in places for place in range(sentence.start, sentence.end)) * 2 > sentence.end - sentence.start


def asks(text: str) -> bool:
    """Return whether a sentence asks a question; without a question mark, whether it has the word order of one."""
    end = text[-EDGE:]
    if _MARK.search(end):
        bare = len(text.split()) == 1 and not _ASKING.search(text)
        return not bare and not _TAG.search(end)
    return not re.search(r"\W$", end) and bool(_INVERTED.match(text[:EDGE]))


def answered(question: Sentence, reply: Sequence[Sentence]) -> bool | None:
    """Return whether a reply answers: no if it says that the answer is unknown; yes for a yes or no to a yes-no
    question, or if somebody else replies; None if only the subject can tell."""
    if not reply or any(_UNKNOWN.search(one.text) for one in reply[:2]):
        return False
    if all(asks(one.text) for one in reply):
        return False
    wh = _ASKING.search(question.text)
    if wh and _KNOWS.search(question.text) and any(_NO.match(one.text) for one in reply[:2]):
        return False
    if reply[0].speaker != question.speaker or (not wh and _YES_NO.match(reply[0].text)):
        return True  # in a conversation, the next speaker usually answers
    return None


def _near(annotated: AnnotatedText, replies: Mapping[int, Sequence[Sentence]]) -> dict[int, bool]:
    """Return whether a reply is about the subject of its question, by the number of the question."""
    if not replies:
        return {}
    wanted = sorted({*replies, *(one.number for reply in replies.values() for one in reply)})
    row = {number: place for place, number in enumerate(wanted)}
    vectors = annotated.tools.embed(annotated.sentences[number].text for number in wanted)
    said = {number: vectors[[row[one.number] for one in reply]] for number, reply in replies.items()}
    return {number: bool((lines @ vectors[row[number]]).max() >= NEAR) for number, lines in said.items()}


def _reply(annotated: AnnotatedText, question: Sentence) -> Iterator[Sentence]:
    """Yield what somebody else says next, to the end of that turn; without speakers, everything to the next
    question."""
    behind = annotated.sentences[question.number + 1 :]
    if len(annotated.speakers) < 2:
        for one in behind:
            if asks(one.text):
                return
            yield one
        return
    speaker: str | None = None
    for one in behind:
        if speaker is None and one.speaker == question.speaker:
            continue
        speaker = speaker or one.speaker
        if one.speaker != speaker:
            return
        yield one
