"""Cut a text into pieces for a translator; everything else is copied. Pure.

A piece is a sentence, a line of a list, or a part of a long sentence. Bullets, numbering, emoji, white space, and text
that only has addresses and numbers are not part of any piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from stt_lab.text import CLAUSE_ENDS, SENTENCE_ENDS, UNSPACED
from stt_lab.text.sentences import sentences
from stt_lab.types import TextSpan

LONG = 400  # weight beyond which a piece is cut: about 100 tokens; translators are trained on sentences
FULL_LINE = 60  # characters from which a line counts as wrapped
LEAST = 12  # weight of a clause that is translated separately

ADDRESS = re.compile(
    r"(?:https?://|www\.)[^\s<>\"']*[^\s<>\"'.,;:!?)\]}»”]|[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE
)
EMOJI = re.compile("[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff\ufe0f\u200d\u20e3]+")
# At the start of a line: bullets, quote marks, headings, numbering
LEAD = re.compile(r"(?:[\s\-*•·–—#>|▪◦]|\d{1,3}[.)]\s)+")
_MARKS = "".join(map(re.escape, sorted(CLAUSE_ENDS | SENTENCE_ENDS)))
_CLAUSE = re.compile(rf"[{_MARKS}]{{1,8}}[\"'”’»)\]}}]{{0,4}}\s+|[，、；：。！？]+")
_SPACE = re.compile(r"\s+")
_BREAK = re.compile(r"\n\s*")
_WEIGHTS = (  # extra weight per character (see `weight`)
    (re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"), 2.0),
    (re.compile("[\uac00-\ud7a3]"), 1.0),
    (re.compile("[\u3040-\u30ff]"), 0.5),
    (re.compile("[\u0590-\u05ff]"), 0.3),
)


def weight(text: str) -> float:
    """Return the length of a text in characters of an alphabet with vowels: a Chinese character counts 3, a Korean
    syllable 2, kana 1.5, a Hebrew letter 1.3. Measured on Django's messages in 90 languages (eval/LOG.md)."""
    return len(text) + sum(extra * len(script.findall(text)) for script, extra in _WEIGHTS)


def pieces(text: str, language: str | None = None) -> tuple[TextSpan, ...]:
    """Return the spans of a text in a language (None: detect it) to translate, in order."""
    return tuple(
        core
        for sentence in sentences(text, language)
        for line in _lines(text, sentence)
        for plain in _between(text, line, EMOJI)
        for part in _bounded(text, plain)
        if (core := _core(text, part)) and translatable(core.of(text))
    )


def translatable(text: str) -> bool:
    """Return whether a text has words, none of them endless."""
    rest = ADDRESS.sub(" ", text)
    endless = max(map(len, rest.split()), default=0) > LONG and not UNSPACED.search(rest)
    return any(map(str.isalpha, rest)) and not endless


def _lines(text: str, span: TextSpan) -> Iterator[TextSpan]:
    """Yield the lines of a sentence; a line that was wrapped because it was full continues in the next."""
    start = span.start
    for found in _BREAK.finditer(text, span.start, span.end):
        line = text[text.rfind("\n", start, found.start()) + 1 or start : found.start()].rstrip()
        full = len(line) >= FULL_LINE and line[-1] not in SENTENCE_ENDS | CLAUSE_ENDS
        goes_on = text[found.end()].islower() or (full and LEAD.match(text, found.end()) is None)
        if not goes_on:
            yield TextSpan(start, found.start())
            start = found.end()
    yield TextSpan(start, span.end)


def _between(text: str, span: TextSpan, pattern: re.Pattern[str]) -> Iterator[TextSpan]:
    """Yield the spans between matches of a pattern."""
    places = [span.start]
    for found in pattern.finditer(text, span.start, span.end):
        places += found.span()
    places.append(span.end)
    return (TextSpan(*pair) for pair in zip(places[::2], places[1::2], strict=True))


def _bounded(text: str, span: TextSpan) -> Iterator[TextSpan]:
    """Yield the span in parts that are not too long."""
    middle = _middle(text, span) if weight(span.of(text)) > LONG else None
    if middle is None:
        yield span
    else:
        yield from _bounded(text, TextSpan(span.start, middle))
        yield from _bounded(text, TextSpan(middle, span.end))


def _middle(text: str, span: TextSpan) -> int | None:
    """Return where to cut a long span in two: after a clause, otherwise between words, in scripts without spaces
    anywhere."""
    centre, reach = (span.start + span.end) // 2, (span.end - span.start) // 4
    for pattern in (_CLAUSE, _SPACE):
        ends = (found.end() for found in pattern.finditer(text, centre - reach, centre + reach))
        if (best := min(ends, key=lambda end: abs(end - centre), default=None)) is not None:
            return best
    return centre if UNSPACED.search(text, centre - 1, centre + 1) else None


def _core(text: str, span: TextSpan) -> TextSpan | None:
    """Return a span without leading bullets and surrounding white space; None if nothing remains."""
    lead = LEAD.match(text, span.start, span.end)
    start = lead.end() if lead else span.start
    end = start + len(text[start : span.end].rstrip())
    return TextSpan(start, end) if end > start else None


def smaller(text: str) -> tuple[TextSpan, ...]:
    """Return smaller parts of a piece whose translation failed: between addresses, otherwise its clauses, otherwise
    halves."""
    whole = TextSpan(0, len(text))
    parts = list(_between(text, whole, ADDRESS))
    if len(parts) == 1:
        parts = _clauses(text)
    if len(parts) == 1 and (middle := _middle(text, whole)) and len(text.split()) > 1:
        parts = [TextSpan(0, middle), TextSpan(middle, len(text))]
    cores = (core for part in parts if (core := _core(text, part)))
    return tuple(core for core in cores if translatable(core.of(text)))


def _clauses(text: str) -> list[TextSpan]:
    ends, start = [0], 0
    for found in _CLAUSE.finditer(text):
        if min(weight(text[start : found.end()]), weight(text[found.end() :])) >= LEAST:
            start = found.end()
            ends.append(start)
    return [TextSpan(*pair) for pair in pairwise([*ends, len(text)])]
