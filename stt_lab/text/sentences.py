"""Running text: find its sentences, speaker labels and language. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stt_lab.cached import cached
from stt_lab.text import SENTENCE_ENDS, UNSPACED
from stt_lab.text.abbreviations import PointUsage, usage
from stt_lab.text.points import ends_with_point
from stt_lab.types import TextSpan

BACK = 40  # characters around a mark that show whether it ends a sentence
SAMPLE = 10_000  # characters used to detect the language
FEW = 0.01  # share of capitalized words below which a text counts as lower case
LEAST = 3  # letters needed to detect a language
_MARKS = "".join(map(re.escape, sorted(SENTENCE_ENDS)))
_ITEM = r"[ \t]*(?:[-*•–]|\d{1,2}[.)])\s"  # start of a list item
# A line that begins with an optional time and a name of up to 40 characters: "[00:12] Ada: ", "Speaker 1: "
_TIME = r"[\[(]?\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?[\])]?[ \t]*+(?:[-–][ \t]*+)?"
_LABEL = rf"[ \t]*(?:{_TIME})?[^\W\d_a-z][^\n:.!?;]{{0,39}}:[ \t]+(?=\S)"
_NUMBERED = re.compile(r"(?:\A|\n)[ \t]*(?:[-*•⁃–][ \t]*)?\d{1,2}\.\Z")
_LABELS = re.compile(rf"^{_LABEL}", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]+")
_DASHES = "-–— "
_HESITATION = re.compile(r"\.{2,}|…")
_SPACED = re.compile(r"\.(?!\S)")
_I = re.compile(r"I\b")  # has a capital within English sentences, too
# Marks and closing quotes, then white space (none needed in scripts without spaces); or the end of a paragraph.
# The lookbehinds prevent long runs of marks or spaces from being scanned again from each of their characters.
_CANDIDATE = re.compile(
    rf"(?<![{_MARKS}])[{_MARKS}]+(?:[ \u00a0\u202f]»|[\"'”’“‘»«)\]}}]*)(?=\s|$)|[。．｡？！]+[」』”’）]*"
    rf"|(?<!\s)\s*(?:\n\s*\n|\n(?={_ITEM}|{_LABEL}))"
)


def sentences(text: str, language: str | None = None) -> tuple[TextSpan, ...]:
    """Return the sentences, without surrounding white space; only white space lies between two of them.

    A mark ends a sentence unless a lower-case letter follows; titles, initials and other abbreviations of the language
    (None: detect it) end none. A blank line always ends one, and so does the line before a list item or a speaker
    label.
    """
    ends = [*_Ends(text, language), len(text)]
    starts = [0, *ends[:-1]]
    spans = (_trimmed(text, start, end) for start, end in zip(starts, ends, strict=True))
    return tuple(span for span in spans if span.end > span.start)


class _Ends:
    """The ends of sentences within a text."""

    def __init__(self, text: str, language: str | None) -> None:
        self._text, self._language = text, language

    def __iter__(self) -> Iterator[int]:
        for found in _CANDIDATE.finditer(self._text):
            if not found[0].strip() or self._is_end(found.start(), found.end()):
                yield found.end()

    @cached
    def _usage(self) -> PointUsage:
        return usage(self._language or language_of(self._text) or "")

    def _is_end(self, mark: int, end: int) -> bool:
        """Return whether the marks and closing quotes from `mark` to `end` end a sentence."""
        after = self._text[end : end + BACK].lstrip()
        if after.lstrip(_DASHES)[:1].islower():  # also in: "Yes!" - she said
            return False
        if _HESITATION.fullmatch(self._text, mark, end) and _I.match(after):
            return False
        before = self._text[max(0, mark - BACK) : mark]
        if _SPACED.match(after) or before[-1:] == "[":
            return False  # ". . ." and "[...]"
        if self._text[mark:end] != "." or not after or not (before[-1:].isalnum() or before[-1:] == "°"):
            return True
        if _NUMBERED.search(f"{before}."):
            return False
        return ends_with_point(before, after, self._usage)


def _trimmed(text: str, start: int, end: int) -> TextSpan:
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    return TextSpan(start + left, max(start + left, start + len(part.rstrip())))


def labels(text: str) -> tuple[TextSpan, ...]:
    """Return the speaker labels at the start of lines, if the text is written as a transcript; otherwise ().

    It is one if its first line has a label, and a name repeats or every line has a label.
    """
    found = [TextSpan(*match.span()) for match in _LABELS.finditer(text)]
    if len(found) < 2 or text[: found[0].start].strip():
        return ()
    names = {label_name(span.of(text)) for span in found}
    lines = sum(bool(line.strip()) for line in text.splitlines())
    return tuple(found) if len(names) < len(found) or len(found) == lines else ()


def label_name(label: str) -> str:
    """Return the name in a label of `labels`."""
    return re.sub(r"^[\W\d_]+", "", label).strip(" \t:")


def has_capitals(text: str) -> bool:
    """Return whether words begin with capitals; False if hardly any does, or if most are all capitals."""
    words = [word for word in _WORD.findall(text) if word not in ("I", "A")]
    capitals = sum(word[0].isupper() for word in words)
    shouted = len(words) > 3 and sum(map(str.isupper, words)) > len(words) / 2
    return not words or (not shouted and capitals >= max(1, FEW * len(words)))


def language_of(text: str) -> str | None:
    """Detect the language of a text: its ISO 639-1 code, or None if there are hardly any letters.

    Uses n-grams of letters (Lui and Baldwin 2012, "langid.py"); unreliable for short texts.
    """
    sample = text[:SAMPLE]
    if sum(map(str.isalpha, sample)) < LEAST:
        return None
    if UNSPACED.search(sample) is None and sample.isascii() and len(sample.split()) < LEAST:
        return "en"  # a word or two: what most callers send
    import py3langid

    code: str = py3langid.classify(sample)[0]
    return code
