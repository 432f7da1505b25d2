"""Replace personal data in a text or a transcript, and find when it was spoken."""

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
BLACK = "█"  # one per character
DIGITS = 8  # hexadecimal digits of a hash
LABELLED = re.compile(r"Speaker \d+")  # labels of the engines, not names
UNCASED = "The text has no capital letters, which help to find names. Some names may remain."

Replacement = Callable[[Entity, int], str]  # entity and its length in characters -> replacement text


@dataclass(frozen=True)
class RedactedEntity:
    """Position of personal data in the original text; it does not contain the data."""

    label: str
    start: int
    end: int
    score: float
    start_time: float | None = None  # seconds in the recording
    end_time: float | None = None


@dataclass(frozen=True)
class RedactedText:
    """A text without its personal data."""

    text: str
    entities: tuple[RedactedEntity, ...]  # offsets in the original text


# Find


def find(
    tools: Tools, source: SourceText, kinds: Sequence[PiiKind] = PII, names: Iterable[str] = ()
) -> tuple[Entity, ...]:
    """Find personal data in a text. `names` are known to be people. Raises ModelMissing if no installed model can
    search it."""
    language = source.language or language_of(source.text)
    arguments = {"text": source.text, "language": language, "kinds": tuple(kinds), "names": tuple(names)}
    found: tuple[Entity, ...] = tools.pool.work(_finder(tools), "find_pii", tools.report, **arguments)
    return found


def _finder(tools: Tools) -> catalog.Model:
    model = next(tools.pool.available("pii"), None)
    if model is None:
        raise ModelMissing(
            "The model that finds personal data is not installed. Run `stt-lab models pull en_core_web_sm` there."
        )
    return model


def redaction_warnings(text: str, kinds: Sequence[PiiKind]) -> tuple[str, ...]:
    """Return warnings about a redacted text."""
    return () if set(kinds) <= set(BY_FORM) or has_capitals(text) else (UNCASED,)


# Replace


def written(mode: Mode) -> Replacement:
    """Return the function that writes replacements. Hashes use a random key that is never stored: within one file equal
    values have equal hashes, and nobody can find a value by trying all telephone numbers."""
    if mode == "mask":
        return lambda entity, length: BLACK * length
    if mode == "mark":
        return lambda entity, length: f"[{entity.label}]"
    key = secrets.token_bytes(32)
    return lambda entity, length: f"[{entity.label}:{_hash(key, entity)}]"


def _hash(key: bytes, entity: Entity) -> str:
    """Hash a value regardless of spacing and punctuation."""
    plain = "".join(filter(str.isalnum, entity.text.casefold()))
    return hmac.new(key, f"{entity.label} {plain}".encode(), hashlib.sha256).hexdigest()[:DIGITS]


def redacted(text: str, entities: Iterable[Entity], write: Replacement, start: int = 0, end: int | None = None) -> str:
    """Return the text from `start` to `end` with entities, or the parts of them within, replaced."""
    made, at, stop = "", start, len(text) if end is None else end
    for entity in entities:
        first, last = max(entity.start, start), min(entity.end, stop)
        if first < last:
            made += text[at:first] + write(entity, last - first)
            at = last
    return made + text[at:stop]


def redact(tools: Tools, text: str, mode: Mode, kinds: Sequence[PiiKind] = PII) -> RedactedText:
    """Remove the personal data from a text."""
    entities = find(tools, SourceText(text), kinds)
    hidden = tuple(RedactedEntity(one.label, one.start, one.end, one.score) for one in entities)
    return RedactedText(redacted(text, entities, written(mode)), hidden)


def as_analysis(tools: Tools, made: RedactedText, text: str) -> Analysis:
    """Return a redaction as an analysis of the original text; only a transcript's entities have times."""
    rows = [{name: value for name, value in asdict(one).items() if value is not None} for one in made.entities]
    return Analysis(
        "pii_redact", _finder(tools).id, {"text": made.text, "entities": rows}, redaction_warnings(text, PII)
    )


# Transcripts


def find_in_transcript(tools: Tools, transcript: Transcript, kinds: Sequence[PiiKind] = PII) -> tuple[Entity, ...]:
    """Find personal data in a transcript; names given to speakers count as names."""
    return find(tools, SourceText.of(transcript), kinds, filter(_is_name, transcript.speakers))


def redact_stored(tools: Tools, transcript: Transcript, mode: Mode, kinds: Sequence[PiiKind] = PII) -> RedactedText:
    """Remove the personal data from the text of a transcript, with the times when it was spoken."""
    entities = find_in_transcript(tools, transcript, kinds)
    hidden = tuple(
        RedactedEntity(one.label, one.start, one.end, one.score, span.start, span.end)
        for one, span in zip(entities, spoken(transcript, entities), strict=True)
    )
    return RedactedText(redacted(transcript.text, entities, written(mode)), hidden)


def spoken(transcript: Transcript, entities: Iterable[Entity]) -> tuple[Span, ...]:
    """Return when each entity was spoken: the times of its words, or of whole segments without words."""
    atoms = [atom for start, segment in _offsets(transcript) for atom in _atoms(segment, start)]
    return tuple(_time([span for start, end, span in atoms if start < one.end and one.start < end]) for one in entities)


def _time(spans: list[Span]) -> Span:
    return Span(min(span.start for span in spans), max(span.end for span in spans))


def _offsets(transcript: Transcript) -> Iterator[tuple[int, Segment]]:
    """Yield each segment with the position of its text in the transcript's text."""
    start = 0
    for segment in transcript.segments:
        yield start, segment
        start += len(segment.text) + 1


def _atoms(segment: Segment, start: int) -> list[tuple[int, int, Span]]:
    """Return the words with their positions in the text, including the space after them; or the segment itself."""
    words = placed(segment)
    if words is None:
        return [(start, start + len(segment.text) + 1, segment)]
    return [(start + first, start + last + 1, word) for first, last, word in words]


def placed(segment: Segment) -> list[tuple[int, int, Word]] | None:
    """Return the words with their positions in the segment's text; None if they do not cover it."""
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
    """Remove personal data from a transcript: from text, words, speaker names, and what was suppressed."""
    names = _speakers(transcript.speakers) if "PERSON" in kinds else {}
    segments = tuple(_segment(segment, start, entities, write, names) for start, segment in _offsets(transcript))
    turns = tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in transcript.turns)
    speakers = tuple(names.get(name, name) for name in transcript.speakers)
    unrecognized = tuple(replace(one, speaker=_called(one.speaker, names)) for one in transcript.unrecognized)
    return replace(
        transcript,
        segments=segments,
        speakers=speakers,
        turns=turns,
        unrecognized=unrecognized,
        suppressed=(),
        provenance=(),
    )


def _is_name(speaker: str) -> bool:
    return LABELLED.fullmatch(speaker) is None


def _speakers(shown: tuple[str, ...]) -> dict[str, str]:
    """Return replacements for speaker names: "Speaker 2" for the second one, unless another speaker has that name."""
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
    """Yield the words; the words of an entity become one."""
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
