"""Run Whisper on CTranslate2 with faster-whisper's features, search with fallback, and word alignment."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from stt_lab.engines.decoding import OPTIONS, SEARCHES, Decoding
from stt_lab.engines.protocols import EngineSpec, Goal, Search
from stt_lab.engines.regions import Region, Speech, find_activity, without_silence
from stt_lab.engines.sampling import SamplingModel
from stt_lab.types import SAMPLE_RATE, Audio, Event, Provenance, Recognition, Report, Segment, Span, Suppressed

if TYPE_CHECKING:
    from ctranslate2.models import Whisper
    from faster_whisper import WhisperModel

SEED = 0  # of sampling, the fallback of the search
SHORT_S = 12.0  # longest recording that is decoded in a window of its length instead of 30 s
BROKEN_OFF_S = 1.0  # of a voice without words at the end, after which a short window is not believed
SHORT_AT_ONCE = 2  # short stretches that are computed at once, each by one thread


class WhisperTranscriber:
    """A `Transcriber` for a folder of CTranslate2 weights."""

    supports_words = True

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.languages: tuple[str, ...] = ()
        self._model: WhisperModel | None = None
        self._narrow: Whisper | None = None  # the same weights for short stretches
        cpu = spec.device == "cpu"
        self._compute_type, self._threads = ("int8", spec.threads) if cpu else ("float16", 0)
        self._resolved = ""  # the compute type that CTranslate2 chose on this processor
        self._sampled = False  # whether a recording has drawn samples from the model
        self._drawing = threading.Lock()

    def load(self) -> None:
        import ctranslate2
        from faster_whisper import WhisperModel
        from scipy.sparse import csr_array

        ctranslate2.set_random_seed(SEED)  # each model's thread reads the seed at its first sample
        self._model = WhisperModel(
            str(self.spec.folder),
            device=self.spec.device,
            compute_type=self._compute_type,
            cpu_threads=self._threads,
            local_files_only=True,
        )
        extractor = self._model.feature_extractor  # a sparse product has the same bits with every BLAS, and is faster
        extractor.mel_filters = csr_array(extractor.mel_filters)
        self._sampled = False
        self._resolved = self._model.model.compute_type
        self.languages = tuple(self._model.supported_languages)

    def unload(self) -> None:
        self._model = self._narrow = None

    def draws(self) -> Whisper:
        """Return a model that has not drawn random samples yet, so that each recording gets the same ones.

        CTranslate2 seeds the random number generator of a model's thread only at its first sample (its random.cc), so
        the text of a recording would depend on earlier and concurrent recordings. Every recording that falls back to
        sampling therefore has its own model: the first takes the loaded one, and for the next one it is loaded again.
        """
        import ctranslate2

        with self._drawing:
            if self._model is None:
                self.load()
            assert self._model is not None
            if self._sampled:
                self._model.model, shell, self._model = None, self._model, None
                shell.model = ctranslate2.models.Whisper(
                    str(self.spec.folder),
                    device=self.spec.device,
                    compute_type=self._compute_type,
                    intra_threads=self._threads,
                )
                self._model = shell
            self._sampled = True
            return self._model.model

    def _view(self, short: bool) -> WhisperModel:
        """Return the model for one recording, or for `short` stretches of one."""
        with self._drawing:
            if self._model is None:
                self.load()
            view = copy.copy(self._model)
            assert view is not None
            view.model = SamplingModel(self._for_short() if short else view.model, self.draws)
            return view

    def _for_short(self) -> Whisper:
        """Return the weights for short stretches: one thread has them faster than two, which wait for each other."""
        import ctranslate2

        assert self._model is not None
        if self.spec.device != "cpu":
            return self._model.model
        if self._narrow is None:
            self._narrow = ctranslate2.models.Whisper(
                str(self.spec.folder),
                compute_type=self._compute_type,
                intra_threads=1,
                inter_threads=min(SHORT_AT_ONCE, self._threads),
            )
        return self._narrow

    def transcribe(
        self,
        audio: Audio,
        language: str | None,
        report: Report,
        goal: Goal = "transcribe",
        stretches: tuple[Span, ...] = (),
        search: Search = "full",
    ) -> Recognition:
        """Recognise the speech of a sound. Words have times in seconds of the file and a probability.
        In a translation, a word's time is where the decoder attended when it wrote the word.
        """
        began = time.perf_counter()
        report(Event("transcribing", 0.0))
        language = language if len(self.languages) > 1 else "en"
        activity: list[Region] = [] if stretches else find_activity(audio, report)
        sounds = [[_region(one)] for one in stretches] or [without_silence(activity, audio.samples)]
        if not stretches and search == "full" and audio.duration <= SHORT_S and self.spec.device == "cpu":
            search = "short"
        segments: list[Segment] = []
        suppressed: list[Suppressed] = []
        for number, regions in enumerate(sounds):
            part = _part_of(report, number, len(sounds))
            run, found = self._decode(Speech(audio, regions), language, goal, part, bool(stretches), search)
            segments += found
            suppressed += run.suppressed
            language = run.language
        return Recognition(
            language=language if segments else None,
            segments=tuple(segments),
            suppressed=tuple(suppressed),
            provenance=self._provenance(goal, search, time.perf_counter() - began),
            speech=tuple(Span(one.start / SAMPLE_RATE, one.stop / SAMPLE_RATE) for one in activity),
        )

    def _decode(
        self, speech: Speech, language: str | None, goal: Goal, report: Report, stretch: bool, search: Search
    ) -> tuple[Decoding, list[Segment]]:
        """Recognise one sound. A short recording whose text is doubtful is decoded again as a long one."""
        short = stretch or search == "short"
        model = self._view(short)
        run = Decoding(model, speech, language, goal, report, short, search)
        model.model.pause = run.progress.pause
        found = list(run.segments())
        if search == "short" and (run.doubtful or _breaks_off(found, speech)):
            return self._decode(speech, language, goal, report, False, "full")
        return run, found

    def _provenance(self, goal: Goal, search: Search, elapsed: float) -> Provenance:
        from faster_whisper import __version__

        options = {
            "compute_type": self._resolved,
            "beam_size": (OPTIONS | SEARCHES[search])["beam_size"],
            "task": goal,
        }
        place = self.spec
        return Provenance("faster-whisper", place.model, place.device, __version__, options, elapsed)


def _part_of(report: Report, number: int, parts: int) -> Report:
    """Return a receiver of the progress of one of several parts."""
    return lambda event: report(replace(event, fraction=(number + event.fraction) / parts))


def _breaks_off(found: list[Segment], speech: Speech) -> bool:
    """Return whether the words end long before the voice."""
    if not speech.regions:
        return False
    end = speech.regions[-1].stop / SAMPLE_RATE
    return not found or end - found[-1].end > BROKEN_OFF_S


def _region(stretch: Span) -> Region:
    return Region(int(stretch.start * SAMPLE_RATE), int(stretch.end * SAMPLE_RATE))
