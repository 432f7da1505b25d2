"""Reasons not to believe a hypothesis, and what two hypotheses agree on. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from stt_lab.transcription.loops import repeats
from stt_lab.types import Word

REPEATED = 3  # words, and more, that come twice in a row: decoders do that, people hardly ever
SHORT_S = 0.1  # of a short word
WORDS, WORDS_S = 4, 5.0  # most words of a stretch, and more for each second of it: nobody speaks faster


def bare(word: Word) -> str:
    """Return a word without case and punctuation."""
    return word.plain.casefold()


def repeats_itself(words: Sequence[Word]) -> bool:
    """Return whether REPEATED words or more come twice in a row, or one word more than REPEATED times."""
    said = [bare(word) for word in words]
    once = any(len(set(said[at : at + REPEATED + 1])) == 1 for at in range(len(said) - REPEATED))
    return once or repeats(said, REPEATED)


def too_many(words: Sequence[Word], seconds: float) -> bool:
    """Return whether a stretch has more words than somebody can say in its time."""
    return len(words) > WORDS + WORDS_S * seconds


def doubtful(words: Sequence[Word], seconds: float) -> bool:
    """Return whether the words of a stretch should be decoded again, more carefully."""
    return repeats_itself(words) or too_many(words, seconds)


def in_order(words: Sequence[Word], after: float) -> tuple[Word, ...]:
    """Return the words that lie after a time, in order: none is earlier than the one before it.

    The middle of a word decides, but of the first one its end: a decoder has its first word begin with the sound.
    """
    kept: list[Word] = []
    for number, word in enumerate(words):
        last = kept[-1].end if kept else after
        place = (word.start + word.end) / 2 if number else word.end - SHORT_S
        if place > after and word.end > last:
            kept.append(Word(max(word.start, last), word.end, word.text, word.confidence, word.speaker))
    return tuple(kept)


def agreed(one: Sequence[Word], other: Sequence[Word]) -> int:
    """Return how many words two hypotheses begin with in common (LocalAgreement-2: Macháček et al. 2023)."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if bare(left) != bare(right):
            break
        count += 1
    return count


def calm(shown: Sequence[Word], heard: Sequence[Word]) -> tuple[Word, ...]:
    """Return the words to show that are not agreed on yet. Where one hypothesis alone contradicts what is shown, that
    stays, and only what comes after it is added: a reader would see words change that change back in a moment.
    """
    if not shown or agreed(shown, heard) == len(shown):
        return tuple(heard)
    end = shown[-1].end
    return (*shown, *(word for word in heard if (word.start + word.end) / 2 > end))


def ends_sentence(text: str) -> bool:
    return text.rstrip(" \"'”’»)").endswith((".", "?", "!", "。", "？", "！"))


def ends_clause(text: str) -> bool:
    """Return whether more of the sentence is to be expected."""
    return text.rstrip(" \"'”’»)").endswith((",", ";", ":", "-", "–", "…", "，", "、", "；"))
