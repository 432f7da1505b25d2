"""How words and the text of a segment belong together: read from a segment, and written from a text. Pure.

On the wire a word has neither spaces nor outer punctuation, and punctuation alone is no word. Here a word keeps both in
its `text`, so that the texts of a segment's words, joined, are the text of the segment.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from stt_lab.text import UNSPACED, clean
from stt_lab.types import Segment, Word, is_inner

OPENING = ("Ps", "Pi")  # categories of punctuation that belongs to the word after it


def spelling(text: str, words: Sequence[str]) -> list[str]:
    """Return each word as the text spells it, with space and punctuation: together they are the text."""
    cuts, end = [], 0
    for word in words:
        start = text.find(word, end)
        if start < 0:  # the text spells it differently
            return [f" {word}" for word in words]
        cuts.append(max((i for i in range(end, start) if text[i].isspace()), default=start))
        end = start + len(word)
    parts = [text[start:stop] for start, stop in pairwise([0, *cuts[1:], len(text)])]
    return [f" {parts[0]}", *parts[1:]] if words else []


# Of a segment


def counted(segment: Segment) -> tuple[Word, ...]:
    """Return the words of a segment as the wire counts them; together they spell its text.

    Punctuation that the recogniser timed on its own joins the word beside it, whose times stay.
    """
    words = tuple(_with_punctuation(segment.words))
    if "".join(word.text for word in words).split() == segment.text.split():
        return words
    texts = spelling(segment.text, [word.plain for word in words])
    found = tuple(replace(word, text=text) for word, text in zip(words, texts, strict=True))
    same = [word.plain for word in found] == [word.plain for word in words]
    spelt = "".join(texts).split() == segment.text.split()
    return found if same and spelt else words  # else the text is another one, and the words are what counts


def _with_punctuation(words: Iterable[Word]) -> list[Word]:
    made: list[Word] = []
    before = ""
    for word in words:
        if word.plain:
            made.append(replace(word, text=before + word.text) if before else word)
            before = ""
        elif made and not _opens(word.text):
            made[-1] = replace(made[-1], text=made[-1].text + word.text)
        else:
            before += word.text
    return made


def _opens(text: str) -> bool:
    """Return whether punctuation belongs to the word after it."""
    return unicodedata.category(text.strip()[:1] or " ") in OPENING


def spanning(words: Sequence[Word], speaker: str | None) -> Segment:
    """Make a segment of words, which it spans and whose texts are its text."""
    text = "".join(word.text for word in words).strip()
    return Segment(words[0].start, max(word.end for word in words), text, tuple(words), speaker)


# Of a text


def written(text: str) -> list[str]:
    """Split a text into words as recognisers write them: each with the space before it and its punctuation.

    In scripts without spaces (UNSPACED), each letter with its marks is a word. A text without letters has no words.
    """
    made: list[str] = []
    before = ""
    for token in clean(text).split():
        for number, part in enumerate(_parts(token)):
            spaced = part if number else f" {part}"
            if any(map(is_inner, part)):
                made.append(before + spaced)
                before = ""
            elif made and not _opens(part):
                made[-1] += spaced
            else:
                before += spaced
    return made


def _parts(token: str) -> list[str]:
    """Cut a text without spaces before each letter of an unspaced script, and behind the last one of a run."""
    cuts, base, opening = [0], "", 0
    for i, char in enumerate(token):
        category = unicodedata.category(char)
        if category in OPENING:
            continue
        if is_inner(char) and not (base and category[0] == "M"):
            if base and (UNSPACED.match(char) or UNSPACED.match(base)):
                cuts.append(opening)
            base = char
        opening = i + 1
    return [token[start:stop] for start, stop in pairwise([*cuts, len(token)])]


def following(before: str, after: str, *, apart: bool = False) -> str:
    """Return the text of a word as it can follow another: with a space where they would run together.

    That is where letters meet, and before opening punctuation; `apart` also puts one before other punctuation. Scripts
    without spaces get none.
    """
    last, first = _inner(reversed(before)), _inner(after)
    if after[:1].isspace() or not last or not first or UNSPACED.match(last) or UNSPACED.match(first):
        return after
    return f" {after}" if apart or is_inner(after[0]) or _opens(after) else after


def _inner(chars: Iterable[str]) -> str:
    return next(filter(is_inner, chars), "")


def shared(
    texts: Sequence[str], start: float, end: float, speaker: str | None, *, corrected: bool = True
) -> list[Word]:
    """Make words of texts that share a span of time by their characters."""
    ends = list(accumulate((sum(not char.isspace() for char in text) for text in texts), initial=0))
    times = [start + (end - start) * at / max(1, ends[-1]) for at in ends[:-1]]
    spans = zip(pairwise([*(min(time, end) for time in times), end]), texts, strict=True)
    return [Word(*span, text, None, speaker, corrected) for span, text in spans]
