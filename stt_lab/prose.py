"""Running text: where its sentences are, and which language it is in. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stt_lab.text import SENTENCE_ENDS, UNSPACED, sentence_end
from stt_lab.types import TextSpan

BACK = 40  # characters before a mark that tell whether it ends a sentence
SAMPLE = 10_000  # characters that a language is told from
LEAST = 3  # letters, below which no language is told
_MARKS = "".join(map(re.escape, sorted(SENTENCE_ENDS)))
# Marks and what closes behind them, then white space, or nothing in scripts without spaces; or a blank line
_CANDIDATE = re.compile(rf"[{_MARKS}]+[\"'”’»)\]}}]*(?=\s|$)|[。．｡？！]+[」』”’）]*|\s*\n\s*\n")


def sentences(text: str) -> tuple[TextSpan, ...]:
    """The sentences, without the space around them; what lies between two of them is white space only.

    A mark ends one where no small letter follows; titles, initials and numbers end nothing, a blank line always does.
    """
    ends = [*_ends(text), len(text)]
    starts = [0, *ends[:-1]]
    spans = (_trimmed(text, start, end) for start, end in zip(starts, ends, strict=True))
    return tuple(span for span in spans if span.end > span.start)


def _ends(text: str) -> Iterator[int]:
    for found in _CANDIDATE.finditer(text):
        end = found.end()
        blank = not found[0].strip()
        if blank or (sentence_end(text[max(0, end - BACK) : end]) and not _goes_on(text, end)):
            yield end


def _goes_on(text: str, end: int) -> bool:
    """Whether what follows begins with a small letter, as after "e.g." or an ellipsis."""
    rest = text[end : end + BACK].lstrip()
    return rest[:1].islower()


def _trimmed(text: str, start: int, end: int) -> TextSpan:
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    return TextSpan(start + left, max(start + left, start + len(part.rstrip())))


def language_of(text: str) -> str | None:
    """ISO 639-1 code of the language that a text is most likely in; None where there are hardly any letters.

    By letters' n-grams (Lui and Baldwin 2012, "langid.py"). Short texts are told apart poorly.
    """
    sample = text[:SAMPLE]
    if sum(map(str.isalpha, sample)) < LEAST:
        return None
    if UNSPACED.search(sample) is None and sample.isascii() and len(sample.split()) < LEAST:
        return "en"  # a word or two: what most callers write
    import py3langid

    code: str = py3langid.classify(sample)[0]
    return code
