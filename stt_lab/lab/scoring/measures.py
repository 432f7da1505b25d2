"""Compare one prediction with its references: poolable counts by measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from stt_lab import metrics
from stt_lab.errors import BadInput
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.predictions import Prediction
from stt_lab.metrics import Counts
from stt_lab.text import Normaliser
from stt_lab.types import Segment, Turn, Word

UNSPACED = frozenset(
    ["zh", "ja", "th", "yue", "lo", "my", "km", "bo"]
)  # written without spaces: only character measures


@dataclass(frozen=True)
class ScoringRule:
    """Normaliser and collar of a comparison."""

    normaliser: Callable[[str | None], Normaliser]  # by language
    collar_s: float = 0.0


def measure(item: Item, prediction: Prediction, rule: ScoringRule) -> Mapping[str, Counts]:
    """Compute every measure that the references allow; {} if the system failed."""
    if prediction.error is not None:
        return {}
    made: dict[str, Counts] = {}
    for measures in (_words, _nobody, _times, _speakers, _speed):
        made |= dict(measures(item, prediction, rule))
    return made


Measures = Iterator[tuple[str, Counts]]


def voices(item: Item) -> int:
    """Count the speakers of the reference; 1 if it names none."""
    spans: tuple[Turn, ...] | tuple[Segment, ...] = item.turns or item.segments or ()
    return len({span.speaker for span in spans if span.speaker}) or 1


def _words(item: Item, prediction: Prediction, rule: ScoringRule) -> Measures:
    """Yield WER and CER for one speaker: words of several speakers have no common order, cpWER is for them."""
    if not item.text or prediction.text is None or voices(item) > 1:
        return
    normaliser = rule.normaliser(item.language)
    if item.language not in UNSPACED:
        yield "wer", metrics.wer([item.text], [prediction.text], normaliser)
    yield "cer", metrics.cer([item.text], [prediction.text], normaliser)


def _nobody(item: Item, prediction: Prediction, rule: ScoringRule) -> Measures:
    seconds = prediction.duration or item.duration
    if item.text == "" and prediction.text is not None and seconds:
        yield "non_speech", metrics.non_speech_words(prediction.text, seconds, rule.normaliser(item.language))


def _times(item: Item, prediction: Prediction, rule: ScoringRule) -> Measures:
    hypothesis: tuple[Word, ...] = tuple(word for segment in prediction.segments for word in segment.words)
    if item.words and hypothesis and item.language not in UNSPACED:
        starts, ends = metrics.word_times(item.words, hypothesis, rule.normaliser(item.language))
        yield "word_starts", starts
        yield "word_ends", ends


def _speakers(item: Item, prediction: Prediction, rule: ScoringRule) -> Measures:
    if prediction.turns is None:
        return
    seconds = prediction.duration or item.duration
    if item.turns and seconds:
        yield "der", metrics.der(item.turns, prediction.turns, seconds, rule.collar_s)
        yield "jer", metrics.jer(item.turns, prediction.turns, seconds, rule.collar_s)
    reference = item.turns or item.segments
    if reference:
        yield "speakers", metrics.speaker_count(reference, prediction.turns)
    if item.segments and prediction.text is not None and item.language not in UNSPACED:
        yield from _said(item.segments, prediction.segments, rule.normaliser(item.language))


def _said(reference: tuple[Segment, ...], hypothesis: tuple[Segment, ...], normaliser: Normaliser) -> Measures:
    """Yield measures of who said what; skip those whose search has too many speakers."""
    searches: dict[str, Callable[..., Counts]] = {
        "cpwer": metrics.cpwer, "tcpwer": metrics.tcpwer, "orcwer": metrics.orcwer, "wder": metrics.wder,
    }  # fmt: skip
    for name, search in searches.items():
        try:
            yield name, search(reference, hypothesis, normaliser)
        except BadInput:
            continue


def _speed(item: Item, prediction: Prediction, rule: ScoringRule) -> Measures:
    if prediction.duration and prediction.seconds is not None:
        yield "speed", metrics.speed(prediction.seconds, prediction.duration)
    if prediction.duration and prediction.cpu is not None:
        yield "cpu", metrics.speed(prediction.cpu, prediction.duration)
