"""Error rates as values that pool: counts are summed over recordings before the division.

jiwer counts words and characters, meeteval words of speakers, pyannote.metrics their time; they come with the extra
`lab` and are imported on first use. Every rate on text names its normaliser (see `stt_lab.text.normalise`), or takes a
custom `Table`. Without a reference there is no rate: the functions raise BadInput, they never return 0.

    values = [wer([r], [h], "whisper_en") for r, h in pairs]     one per recording
    total = pool(values)                                         total.rate, total.mer, total.wil
    low, high = bootstrap(values, seed=0)
    print(compare(values, others, seed=0).verdict("base", "tiny.en"))
"""

from stt_lab.metrics.counts import Counts, pool
from stt_lab.metrics.intervals import CONFIDENCE, Comparison, bootstrap, compare
from stt_lab.metrics.keyterms import TermErrors, keyterms, keyterms_by_term
from stt_lab.metrics.speakers import (
    CPWER_SPEAKERS,
    TCP_COLLAR,
    DiarizationErrors,
    JaccardErrors,
    SpeakerCounts,
    SpeakerErrors,
    cpwer,
    der,
    jer,
    orcwer,
    speaker_count,
    tcpwer,
    wder,
)
from stt_lab.metrics.streaming import (
    Churn,
    Clock,
    EmissionTimes,
    EmittedWord,
    FinalChanges,
    LatencySummary,
    StreamLog,
    StreamUpdate,
    churn,
    emission_times,
    emitted,
    final_changes,
    summarise,
)
from stt_lab.metrics.times import (
    AlignedWord,
    Latency,
    NonSpeechWords,
    Speed,
    TimeErrors,
    align_words,
    latency,
    non_speech_words,
    rtf,
    rtfx,
    speed,
    word_times,
)
from stt_lab.metrics.words import Aligned, WordErrors, align, cer, confusions, wer

__all__ = [
    "CONFIDENCE",
    "CPWER_SPEAKERS",
    "TCP_COLLAR",
    "Aligned",
    "AlignedWord",
    "Churn",
    "Clock",
    "Comparison",
    "Counts",
    "DiarizationErrors",
    "EmissionTimes",
    "EmittedWord",
    "FinalChanges",
    "JaccardErrors",
    "Latency",
    "LatencySummary",
    "NonSpeechWords",
    "SpeakerCounts",
    "SpeakerErrors",
    "Speed",
    "StreamLog",
    "StreamUpdate",
    "TermErrors",
    "TimeErrors",
    "WordErrors",
    "align",
    "align_words",
    "bootstrap",
    "cer",
    "churn",
    "compare",
    "confusions",
    "cpwer",
    "der",
    "emission_times",
    "emitted",
    "final_changes",
    "jer",
    "keyterms",
    "keyterms_by_term",
    "latency",
    "non_speech_words",
    "orcwer",
    "pool",
    "rtf",
    "rtfx",
    "speaker_count",
    "speed",
    "summarise",
    "tcpwer",
    "wder",
    "wer",
    "word_times",
]
