"""Personal data of a text or a transcript replaced, and when in a recording it was said."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from stt_lab.engines.protocols import BY_FORM, PII, PiiKind
from stt_lab.errors import ModelMissing
from stt_lab.text.sentences import has_capitals, language_of
from stt_lab.types import Entity, Segment, Span, Transcript, Word
from stt_lab.weights import catalog
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import Analysis

Mode = Literal["mark", "mask", "hash"]
BLACK = "█"  # as many of them as there were characters
DIGITS = 8  # hexadecimal ones of a hash
LABELLED = re.compile(r"Speaker \d+")  # what the engines call speakers: no names
UNCASED = "The text has no capital letters, by which names are told: some may have been missed."

Replacement = Callable[[Entity, int], str]  # what stands in place of so many characters of an entity


@dataclass(frozen=True)
class RedactedEntity:
    """Where personal data was in the text that was given; what it was, who gave it knows."""

    label: str
    start: int
    end: int
    score: float
    start_time: float | None = None  # seconds, in a recording
    end_time: float | None = None


@dataclass(frozen=True)
class RedactedText:
    text: str
    entities: tuple[RedactedEntity, ...]  # offsets are those of the text that was given


# Looking for it


def find(
    tools: Tools, source: SourceText, kinds: Sequence[PiiKind] = PII, names: Iterable[str] = ()
) -> tuple[Entity, ...]:
    """Personal data in a text; `names` are known to be people's. Raises ModelMissing where it cannot be looked for."""
    language = source.language or language_of(source.text)
    arguments = {"text": source.text, "language": language, "kinds": tuple(kinds), "names": tuple(names)}
    found: tuple[Entity, ...] = tools.pool.work(_finder(tools), "find_pii", tools.report, **arguments)
    return found


def _finder(tools: Tools) -> catalog.Model:
    model = next(tools.pool.available("pii"), None)
    if model is None:
        raise ModelMissing(
            "Personal data cannot be found on this machine: run `stt-lab models pull en_core_web_sm` there."
        )
    return model


def doubts(text: str, kinds: Sequence[PiiKind]) -> tuple[str, ...]:
    """What whoever reads the redacted text should know, a sentence each."""
    return () if set(kinds) <= set(BY_FORM) or has_capitals(text) else (UNCASED,)


# Replacing it


def written(mode: Mode) -> Replacement:
    """How a mode writes. Hashes have a key that is made here and kept nowhere: the same value has the same hash in what
    one of these writes, and nobody can try out telephone numbers until one fits."""
    if mode == "mask":
        return lambda entity, length: BLACK * length
    if mode == "mark":
        return lambda entity, length: f"[{entity.label}]"
    key = secrets.token_bytes(32)
    return lambda entity, length: f"[{entity.label}:{_hash(key, entity)}]"


def _hash(key: bytes, entity: Entity) -> str:
    """Of the value, however it is spaced and punctuated."""
    plain = "".join(filter(str.isalnum, entity.text.casefold()))
    return hmac.new(key, f"{entity.label} {plain}".encode(), hashlib.sha256).hexdigest()[:DIGITS]


def redacted(text: str, entities: Iterable[Entity], write: Replacement, start: int = 0, end: int | None = None) -> str:
    """The text from `start` to `end`, with what is written in place of entities, or of their parts in there."""
    made, at, stop = "", start, len(text) if end is None else end
    for entity in entities:
        first, last = max(entity.start, start), min(entity.end, stop)
        if first < last:
            made += text[at:first] + write(entity, last - first)
            at = last
    return made + text[at:stop]


def redact(tools: Tools, text: str, mode: Mode, kinds: Sequence[PiiKind] = PII) -> RedactedText:
    """A text without its personal data."""
    entities = find(tools, SourceText(text), kinds)
    hidden = tuple(RedactedEntity(one.label, one.start, one.end, one.score) for one in entities)
    return RedactedText(redacted(text, entities, written(mode)), hidden)


def analysed(tools: Tools, made: RedactedText, text: str) -> Analysis:
    """As an analysis of the text that was given; the times of a transcript's entities, a plain text's have none."""
    rows = [{name: value for name, value in asdict(one).items() if value is not None} for one in made.entities]
    return Analysis("pii_redact", _finder(tools).id, {"text": made.text, "entities": rows}, doubts(text, PII))


# Transcripts


def find_in(tools: Tools, transcript: Transcript, kinds: Sequence[PiiKind] = PII) -> tuple[Entity, ...]:
    """Personal data in what was said; the names that were given to speakers count as names."""
    return find(tools, SourceText.of(transcript), kinds, filter(_is_name, transcript.speakers))


def redact_stored(tools: Tools, transcript: Transcript, mode: Mode, kinds: Sequence[PiiKind] = PII) -> RedactedText:
    """The text of a transcript without its personal data, and when that was said."""
    entities = find_in(tools, transcript, kinds)
    hidden = tuple(
        RedactedEntity(one.label, one.start, one.end, one.score, span.start, span.end)
        for one, span in zip(entities, spoken(transcript, entities), strict=True)
    )
    return RedactedText(redacted(transcript.text, entities, written(mode)), hidden)


def spoken(transcript: Transcript, entities: Iterable[Entity]) -> tuple[Span, ...]:
    """When each entity was said: the times of its words, or of whole segments where words have none."""
    atoms = [atom for start, segment in _offsets(transcript) for atom in _atoms(segment, start)]
    return tuple(_time([span for start, end, span in atoms if start < one.end and one.start < end]) for one in entities)


def _time(spans: list[Span]) -> Span:
    return Span(min(span.start for span in spans), max(span.end for span in spans))


def _offsets(transcript: Transcript) -> Iterator[tuple[int, Segment]]:
    """Each segment, and where its text begins in the transcript's."""
    start = 0
    for segment in transcript.segments:
        yield start, segment
        start += len(segment.text) + 1


def _atoms(segment: Segment, start: int) -> list[tuple[int, int, Span]]:
    """Words with where they stand in the text, the space behind them included; or the segment itself."""
    words = placed(segment)
    if words is None:
        return [(start, start + len(segment.text) + 1, segment)]
    return [(start + first, start + last + 1, word) for first, last, word in words]


def placed(segment: Segment) -> list[tuple[int, int, Word]] | None:
    """The words with their places in the segment's text; None where they are not all of it."""
    made, at = [], 0
    for word in segment.words:
        text = word.text.strip()
        first = segment.text.find(text, at)
        if first < 0 or segment.text[at:first].strip():
            return None
        at = first + len(text)
        if text:
            made.append((first, at, word))
    return made if made and not segment.text[at:].strip() else None


def redact_transcript(
    transcript: Transcript, entities: tuple[Entity, ...], write: Replacement, kinds: Sequence[PiiKind] = PII
) -> Transcript:
    """A transcript without personal data: nor in its words, nor as speakers' names, nor in what was suppressed."""
    names = _speakers(transcript.speakers) if "PERSON" in kinds else {}
    segments = tuple(_segment(segment, start, entities, write, names) for start, segment in _offsets(transcript))
    turns = tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in transcript.turns)
    speakers = tuple(names.get(name, name) for name in transcript.speakers)
    return replace(transcript, segments=segments, speakers=speakers, turns=turns, suppressed=(), provenance=())


def _is_name(speaker: str) -> bool:
    return LABELLED.fullmatch(speaker) is None


def _speakers(shown: tuple[str, ...]) -> dict[str, str]:
    """What speakers are called instead of their names: "Speaker 2" for the second one, if nobody else is called so."""
    free = (name for number in range(1, 2 * len(shown) + 1) if (name := f"Speaker {number}") not in shown)
    return {name: next(free) if _is_name(name) else name for name in shown}


def _segment(
    segment: Segment, start: int, entities: tuple[Entity, ...], write: Replacement, names: dict[str, str]
) -> Segment:
    stop = start + len(segment.text)
    own = [
        replace(one, start=max(0, one.start - start), end=min(one.end, stop) - start)
        for one in entities
        if one.start < stop and start < one.end
    ]
    words = placed(segment) if own else None
    made = tuple(_words(segment.text, words, own, write)) if words else () if own else segment.words
    return replace(
        segment,
        text=redacted(segment.text, own, write),
        words=tuple(replace(word, speaker=_called(word.speaker, names)) for word in made),
        speaker=_called(segment.speaker, names),
    )


def _called(speaker: str | None, names: dict[str, str]) -> str | None:
    return None if speaker is None else names.get(speaker, speaker)


def _words(text: str, words: list[tuple[int, int, Word]], own: list[Entity], write: Replacement) -> Iterator[Word]:
    """The words, those of an entity as one."""
    at = 0
    while at < len(words):
        start, end, first = words[at]
        last, touched = at, False
        for one in own:
            if one.start < end and start < one.end:
                touched = True
                while last + 1 < len(words) and words[last + 1][0] < one.end:
                    last += 1
                end = words[last][1]
        if not touched:
            yield first
        else:
            lead = first.text[: len(first.text) - len(first.text.lstrip())]
            yield replace(
                first, end=words[last][2].end, text=lead + redacted(text, own, write, start, end), confidence=None
            )
        at = last + 1
