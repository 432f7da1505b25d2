"""Translate texts in pieces: check each piece, and retry where something seems lost. Pure.

Nothing is dropped: what no translator can handle is copied, and a doubtful translation is kept with a warning that
quotes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from stt_lab.cached import cached
from stt_lab.translation.checks import NOTHING, PARTLY, Fault, faults, repaired
from stt_lab.translation.cutting import pieces, smaller
from stt_lab.types import TextSpan, Transcript

TranslateBatch = Callable[
    [Sequence[str], bool], Sequence[str]
]  # texts, and whether this is a retry -> their translations
QUOTED = 60  # characters of a sentence in a warning
MOST_WARNINGS = 20  # per text
_CLOSE = re.compile(
    "[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
)  # scripts without spaces between sentences


@dataclass(frozen=True)
class TranslatedPiece(TextSpan):
    """A piece of a text with its translation."""

    translation: str
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Translated:
    """A text with its translated pieces."""

    source: str
    pieces: tuple[TranslatedPiece, ...]

    @cached
    def text(self) -> str:
        return joined(self.source, self.pieces)

    @property
    def warnings(self) -> tuple[str, ...]:
        wrong = [piece for piece in self.pieces if piece.faults]
        said = [_warning(piece.of(self.source), piece.faults[0]) for piece in wrong[:MOST_WARNINGS]]
        more = len(wrong) - len(said)
        return (*said, *([f"{more} more sentences may have similar problems."] if more else []))


def _warning(source: str, fault: Fault) -> str:
    quoted = " ".join(source.split())
    quoted = quoted if len(quoted) <= QUOTED else f"{quoted[: QUOTED - 1]}…"
    if fault == NOTHING:
        return f'"{quoted}" could not be translated and was copied.'
    return f'Check the translation of "{quoted}": {fault.says}.'


def joined(source: str, made: Iterable[TranslatedPiece]) -> str:
    """Join translations; everything between the pieces stays as it is."""
    text, end = "", 0
    for piece in made:
        text = _after(text, source[end : piece.start], piece.translation)
        end = piece.end
    return text + source[end:]


def _after(text: str, gap: str, following: str) -> str:
    """Append a sentence. Chinese and Japanese have no space between sentences, all others do."""
    if text and not gap.strip(" "):
        gap = "" if _CLOSE.match(text[-1]) and _CLOSE.match(following) else gap or " "
    return text + gap + following


@dataclass(frozen=True)
class _Try:
    translation: str
    faults: tuple[Fault, ...]

    @property
    def cost(self) -> int:
        return sum(fault.cost for fault in self.faults)


def translate(texts: Sequence[str], translate_batch: TranslateBatch, language: str | None = None) -> list[Translated]:
    """Translate texts in a language (None: detect it).

    `translate_batch` gets every piece once, and doubtful ones again.
    """
    spans = [pieces(text, language) for text in texts]
    wanted = dict.fromkeys(_plain(span.of(text)) for text, each in zip(texts, spans, strict=True) for span in each)
    best = dict(zip(wanted, _tried(list(wanted), translate_batch, again=False), strict=True))
    for attempt in (_in_parts, _tried_again):
        weak = [piece for piece, found in best.items() if found.faults]
        for piece, found in attempt(weak, translate_batch):
            best[piece] = min(best[piece], found, key=lambda one: one.cost)
    return [
        Translated(text, tuple(_piece(text, span, best[_plain(span.of(text))]) for span in each))
        for text, each in zip(texts, spans, strict=True)
    ]


def _plain(text: str) -> str:
    return " ".join(text.split())


def _piece(text: str, span: TextSpan, made: _Try) -> TranslatedPiece:
    kept = span.of(text) if NOTHING in made.faults else made.translation
    return TranslatedPiece(span.start, span.end, kept, made.faults)


def _tried(texts: Sequence[str], translate_batch: TranslateBatch, again: bool) -> Iterator[_Try]:
    made = translate_batch(texts, again) if texts else ()
    for source, translation in zip(texts, made, strict=True):
        yield _judged(source, translation.strip())


def _judged(source: str, translation: str) -> _Try:
    translation = repaired(source, translation)
    return _Try(translation, faults(source, translation))


def _tried_again(texts: Sequence[str], translate_batch: TranslateBatch) -> Iterator[tuple[str, _Try]]:
    return zip(texts, _tried(texts, translate_batch, again=True), strict=True)


def _in_parts(texts: Sequence[str], translate_batch: TranslateBatch) -> Iterator[tuple[str, _Try]]:
    """Translate each text in smaller parts, if it has any; parts without a translation are copied."""
    parts = {text: found for text in texts if (found := smaller(text)) and found != (TextSpan(0, len(text)),)}
    wanted = list(dict.fromkeys(part.of(text) for text, found in parts.items() for part in found))
    made = dict(zip(wanted, _tried(wanted, translate_batch, again=False), strict=True))
    for text, found in parts.items():
        whole = _judged(text, joined(text, [_piece(text, part, made[part.of(text)]) for part in found]))
        copied = [NOTHING in made[part.of(text)].faults for part in found]
        more = (NOTHING,) if all(copied) else (PARTLY,) if any(copied) else ()
        yield text, replace(whole, faults=more + whole.faults)


def translated_transcript(transcript: Transcript, texts: Sequence[str], target: str) -> Transcript:
    """Return the transcript with translated texts. Words have no times in a language that nobody spoke."""
    segments = (replace(one, text=text, words=()) for one, text in zip(transcript.segments, texts, strict=True))
    return replace(transcript, language=target, segments=tuple(segments), suppressed=())
