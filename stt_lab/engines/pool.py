"""Which engine serves a request, and when: models resolved to what is on disk, and places on each device.

Texts have a lane of their own, with another worker: what takes a second must not wait for hours of sound.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from stt_lab.engines import chat_api
from stt_lab.engines.hosts import EngineCall, Host, InProcessHost, WorkerHost, worker_environ
from stt_lab.engines.protocols import EngineSpec, Goal
from stt_lab.errors import BadInput, Busy, ModelMissing
from stt_lab.settings import Settings
from stt_lab.types import Audio, Diarization, Event, Recognition, Report
from stt_lab.weights import catalog, devices

ENGINES = {  # engine of the catalog -> class; imported where it works
    "faster-whisper": "stt_lab.engines.whisper:WhisperTranscriber",
    "pyannote": "stt_lab.engines.pyannote:PyannoteDiarizer",
    "minilm": "stt_lab.engines.minilm:MiniLm",
    "spacy": "stt_lab.engines.spacy:SpacyParser",
    "presidio": "stt_lab.engines.pii:PresidioFinder",
    "causal": "stt_lab.engines.causal:CausalModel",
    "gguf": "stt_lab.engines.gguf:GgufModel",
    "madlad": "stt_lab.engines.madlad:Madlad",
    "firefox": "stt_lab.engines.firefox:FirefoxTranslator",
}
AUTO = "auto"  # as a wish: the best model that is here
POLL_S = 0.25  # how soon a waiting request notices that it was cancelled
RETRY_AFTER_S = 30


class Slot:
    """The places of the devices, first come first served."""

    def __init__(self, capacity: Callable[[], int] = lambda: 1) -> None:
        self._capacity = capacity  # may change: nodes come and go
        self._lock = threading.Lock()
        self._line: list[_Place] = []  # those who hold places, and behind them those who wait

    @property
    def taken(self) -> bool:
        return bool(self._line)

    @contextmanager
    def hold(self, report: Report, timeout_s: float, places: int = 1) -> Iterator[None]:
        """Wait for so many places, reporting "queued", and hold them. Raises Busy after `timeout_s`."""
        place = _Place(places)
        with self._lock:
            self._line.append(place)
        try:
            self._wait(place, report, timeout_s)
            yield
        finally:
            with self._lock:
                self._line.remove(place)
            self._admit()

    def _admit(self) -> None:
        with self._lock:
            free = self._capacity()
            for place in self._line:
                free -= place.size
                if free < 0 and place is not self._line[0]:  # the first one never waits for more than there is
                    break
                place.ready.set()

    def _wait(self, place: _Place, report: Report, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        self._admit()
        while not place.ready.is_set():
            if time.monotonic() >= deadline:
                raise Busy("This machine is busy with earlier requests. Try again later.", retry_after=RETRY_AFTER_S)
            report(Event("queued"))
            place.ready.wait(POLL_S)
            self._admit()  # a device may have come since


@dataclass(eq=False)
class _Place:
    size: int
    ready: threading.Event = field(default_factory=threading.Event)


def _missing(model_id: str) -> ModelMissing:
    return ModelMissing(f"The model '{model_id}' is not installed. Install it with `stt-lab models pull {model_id}`.")


def _none(task: str, work: str = "") -> ModelMissing:
    model = catalog.easiest_to_install(task)
    pull = f"stt-lab models pull {model.id if model else ''}".rstrip()
    return ModelMissing(f"No installed model can {work or task}. Install one with `{pull}`.")


def _instead(wanted: str, why: str, used: catalog.Model) -> str:
    return f"The model '{wanted}' {why}; '{used.id}' was used instead."


def _unable(wanted: str, task: str, others: Iterable[catalog.Model]) -> BadInput:
    known = ", ".join(model.id for model in others)
    return BadInput(f"The model '{wanted}' cannot {task}. Choose one of {known}.")


@dataclass(frozen=True)
class Lane:
    """Where engines of a kind run, and the places on it."""

    host: Host
    slot: Slot


class Pool:
    """The engines of this installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.device = devices.device(settings)
        self._speech = self._lane(settings.recordings_at_once)
        one = settings.engine_host == "ray"  # a cluster places calls itself
        self._text = self._speech if one else self._lane(1)
        self._elsewhere = chat_api.ChatApi(settings)
        self.patience_s = settings.queue_timeout_s  # for the device; a server's queue has its own instead

    def _lane(self, calls: int) -> Lane:
        host = self._make_host(calls)
        return Lane(host, Slot(lambda: host.capacity))

    def _make_host(self, calls: int) -> Host:
        """Where the engines of a lane run, with so many calls at once on a device."""
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
        """Whether a device has sound to work on."""
        return self._speech.slot.taken

    @property
    def capacity(self) -> int:
        """How many recordings are worked on at once, by turns, on the devices that are known by now."""
        return self._speech.host.capacity

    @property
    def devices(self) -> int:
        """How many recordings are worked on at the same moment."""
        return self._speech.host.devices

    @property
    def process(self) -> int | None:
        """Of the engines, where they have one of their own on this machine and it runs."""
        return self._speech.host.pid

    @contextmanager
    def slot(self, report: Report, alone: bool = False) -> Iterator[None]:
        """A place on a device for a recording; `alone`: a device that nothing else of this pool works on."""
        with self._speech.slot.hold(report, self.patience_s, self._settings.recordings_at_once if alone else 1):
            yield

    def resolve(self, task: str, wanted: str, goal: Goal = "transcribe") -> tuple[catalog.Model, tuple[str, ...]]:
        """The model that serves a wish: itself when it is here and able, else the best that is, with a warning."""
        model, strict = catalog.get(wanted), self._settings.strict_models
        if model.task != task:
            raise _unable(wanted, task, catalog.models(task))
        able = model.translates or goal == "transcribe"
        if not able and (strict or model.languages == 1):
            raise _unable(wanted, goal, [other for other in catalog.models(task) if other.translates])
        if able and catalog.available(model, self._settings):
            return model, ()
        best = None if strict else catalog.best(task, self._settings, translates=goal == "translate")
        if best is None:
            raise _missing(wanted) if able else _none(goal)
        why = "is not installed" if able else "cannot translate"
        return best, (_instead(wanted, why, best),)

    def available(self, task: str) -> Iterator[catalog.Model]:
        """The models of a task that can be used, best first: a server's before those on this machine."""
        server = chat_api.offered(self._settings)
        if server is not None and server.task == task:
            yield server
        yield from (model for model in catalog.models(task) if catalog.available(model, self._settings))

    def best(self, task: str) -> catalog.Model:
        """The best model of a task that is on this machine."""
        model = catalog.best(task, self._settings)
        if model is None:
            raise _none(task)
        return model

    def translator(self, source: str | None, target: str, wanted: str) -> tuple[catalog.Model, tuple[str, ...]]:
        """The model that translates texts between two languages: the wanted one or, for AUTO, the best that is here.

        Raises BadInput where the wanted one cannot, ModelMissing where none that can is here.
        """
        work = f"translate from {source or 'any language'} into {target}"
        able = [
            model
            for model in catalog.models("translate")
            if model.translates_pair(source, target) and not model.for_tests
        ]
        if wanted != AUTO and catalog.get(wanted) not in able:
            raise _unable(wanted, work, able)
        here = {model.id: model for model in able if catalog.available(model, self._settings)}
        if wanted in here:
            return here[wanted], ()
        if wanted != AUTO and self._settings.strict_models:
            raise _missing(wanted)
        if not here:
            raise _none("translate", work)
        best = next(iter(here.values()))
        return best, () if wanted == AUTO else (_instead(wanted, "is not installed", best),)

    def transcribe(
        self,
        model: catalog.Model,
        audio: Audio,
        language: str | None,
        report: Report,
        goal: Goal = "transcribe",
        session: float | None = None,
    ) -> Recognition:
        """The text of a sound. With a `session`, the time at which it began, the call is urgent.

        An urgent call needs no place of `slot`: it goes before all others, and the oldest session before the others.
        """
        arguments: dict[str, object] = {"audio": audio, "language": language, "goal": goal}
        recognition: Recognition = self._run(model, "transcribe", arguments, report, session)
        return recognition

    def diarize(self, model: catalog.Model, audio: Audio, speakers: int, report: Report) -> Diarization:
        diarization: Diarization = self._run(model, "diarize", {"audio": audio, "speakers": speakers}, report)
        return diarization

    def work(self, model: catalog.Model, method: str, report: Report, **arguments: object) -> Any:
        """What a method of a text engine returns (protocols.py), when its turn has come; a server has no turns."""
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
            raise _missing(model.id)
        extra = catalog.extra(model, self._settings)
        spec = EngineSpec(folder, model.id, self.device, self._settings.threads, extra)
        lane = self._speech if model.lane == "speech" else self._text
        interleaved = model.lane == "speech"  # a language model has one memory, in which two calls would mix
        call = EngineCall(ENGINES[model.engine], spec, method, arguments, session, interleaved)
        return lane.host.run(call, report)

    def close(self) -> None:
        self._speech.host.close()
        self._text.host.close()
