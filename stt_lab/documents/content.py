"""Lay out a transcript as a document: facts, then paragraphs with times, under the names of their speakers."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from stt_lab.text import LANGUAGES, clean, sentence_end
from stt_lab.transcription.render import grouped
from stt_lab.types import Segment, Transcript

CREATOR = "stt_lab"
LONG = 900  # characters after which a paragraph ends with its sentence; after twice as many, anywhere
TITLE, RUNNING, NAME = 250, 80, 120  # characters of a title, a page header and a name
COLOURS = ("0f766e", "b45309", "4f46e5", "be123c", "4d7c0f", "7e22ce", "0369a1", "9d174d")  # as on the web page
UNLISTED = "475569"  # of a speaker who is not in the transcript's list
SOFT = "64748b"  # of times and labels
RTL_LANGUAGES = frozenset(["ar", "fa", "he", "ps", "sd", "ur", "yi"])


@dataclass(frozen=True)
class Name:
    """A speaker's displayed name; `colour` is six hexadecimal digits."""

    text: str
    colour: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of one speaker."""

    time: str
    text: str
    name: Name | None = None  # if the speaker changes


@dataclass(frozen=True)
class Document:
    """Everything that a document shows."""

    title: str
    created: datetime  # UTC
    language: str  # BCP 47; "und": unknown
    facts: tuple[tuple[str, str], ...]  # label and value, in English; the first is the date
    names: tuple[Name, ...]
    notes: tuple[str, ...]
    paragraphs: tuple[Paragraph, ...]

    @property
    def running(self) -> str:
        """The title for page headers, shortened."""
        return self.title if len(self.title) <= RUNNING else self.title[:RUNNING].strip() + " …"

    @property
    def rtl(self) -> bool:
        return self.language in RTL_LANGUAGES


def lay_out(transcript: Transcript, title: str, created: datetime) -> Document:
    """Lay out a transcript. All texts are clean: one line, without characters that a file format forbids."""
    created, language = created.astimezone(UTC).replace(microsecond=0), transcript.language or "und"
    facts = [
        ("Date", f"{created.day} {created:%B %Y, %H:%M} UTC"),
        ("Duration", clock(transcript.duration)),
        ("Language", LANGUAGES.get(language, "").title()),
        ("Model", clean(transcript.model)),
    ]
    colours = {speaker: COLOURS[number % len(COLOURS)] for number, speaker in enumerate(transcript.speakers)}
    paragraphs = tuple(_paragraphs(transcript.segments, colours))
    return Document(
        clean(title)[:TITLE].strip() or "Transcript",
        created,
        {"jw": "jv"}.get(language, language),  # Whisper's code for Javanese is outdated
        tuple((label, value) for label, value in facts if value),
        tuple(_name(speaker, colours) for speaker in transcript.speakers),
        (*map(clean, transcript.warnings), *([] if paragraphs else ["No speech was found in this recording."])),
        paragraphs,
    )


def _paragraphs(segments: Sequence[Segment], colours: dict[str, str]) -> Iterator[Paragraph]:
    before: str | None = None
    for part in (part for group in grouped(segments, by_sentence=False) for part in _parted(group)):
        speaker = part[0].speaker
        name = _name(speaker, colours) if speaker and speaker != before else None
        yield Paragraph(clock(part[0].start), clean(" ".join(segment.text for segment in part)), name)
        before = speaker


def _parted(group: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Split uninterrupted speech into readable paragraphs."""
    part: list[Segment] = []
    length = 0
    for segment in group:
        part.append(segment)
        length += len(segment.text)
        if length > 2 * LONG or (length > LONG and sentence_end(segment.text)):
            yield part
            part, length = [], 0
    if part:
        yield part


def _name(speaker: str, colours: dict[str, str]) -> Name:
    return Name(clean(speaker)[:NAME].strip() or "?", colours.get(speaker, UNLISTED))


def clock(seconds: float) -> str:
    """Format seconds as "1:02:03", rounded."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def right_to_left(text: str) -> bool:
    """Return whether most letters are written from right to left; a foreign word at the beginning does not matter."""
    strong = [kind != "L" for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL")]
    return 2 * sum(strong) > len(strong)
