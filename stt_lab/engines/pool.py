"""Which engine serves a request, and when: models resolved to what is on disk, one slot per device.

Texts have a lane of their own, with another worker: what takes a second must not wait for hours of sound.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
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
SPEECH = ("transcribe", "diarize")  # tasks of the first lane; all others are done on texts
POLL_S = 0.25  # how soon a waiting request notices that it was cancelled
RETRY_AFTER_S = 30


class Slot:
    """As many at once as there are devices, first come first served."""

    def __init__(self, capacity: Callable[[], int] = lambda: 1) -> None:
        self._capacity = capacity  # may change: nodes come and go
        self._lock = threading.Lock()
        self._line: deque[threading.Event] = deque()  # the first ones hold the slot, and their events are set

    @property
    def taken(self) -> bool:
        return bool(self._line)

    @contextmanager
    def hold(self, report: Report, timeout_s: float) -> Iterator[None]:
        """Wait for the slot, reporting "queued", and hold it. Raises Busy after `timeout_s`."""
        turn = threading.Event()
        with self._lock:
            self._line.append(turn)
        try:
            self._wait(turn, report, timeout_s)
            yield
        finally:
            with self._lock:
                self._line.remove(turn)
            self._admit()

    def _admit(self) -> None:
        with self._lock:
            for turn in islice(self._line, self._capacity()):
                turn.set()

    def _wait(self, turn: threading.Event, report: Report, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        self._admit()
        while not turn.is_set():
            if time.monotonic() >= deadline:
                raise Busy("This machine is busy with earlier requests: try again later.", retry_after=RETRY_AFTER_S)
            report(Event("queued"))
            turn.wait(POLL_S)
            self._admit()  # a device may have come since


def _missing(model_id: str) -> ModelMissing:
    return ModelMissing(
        f"The model '{model_id}' is not on this machine: fetch it there with `stt-lab models pull {model_id}`."
    )


def _none(task: str, work: str = "") -> ModelMissing:
    model = catalog.easiest_to_install(task)
    pull = f"stt-lab models pull {model.id if model else ''}".rstrip()
    return ModelMissing(f"No model that can {work or task} is on this machine: fetch one there with `{pull}`.")


def _instead(wanted: str, why: str, used: catalog.Model) -> str:
    return f"The model '{wanted}' {why}; '{used.id}' was used instead."


def _unable(wanted: str, task: str, others: Iterable[catalog.Model]) -> BadInput:
    known = ", ".join(model.id for model in others)
    return BadInput(f"The model '{wanted}' cannot {task}: choose one of {known}.")


@dataclass(frozen=True)
class Lane:
    """Where engines of a kind run, and the line in front of it."""

    host: Host
    slot: Slot


class Pool:
    """The engines of this installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.device = devices.device(settings)
        self._speech = self._lane()
        one = settings.engine_host == "ray"  # a cluster places tasks itself
        self._text = self._speech if one else self._lane()
        self._elsewhere = chat_api.ChatApi(settings)
        self.patience_s = settings.queue_timeout_s  # for the device; a server's queue has its own instead

    def _lane(self) -> Lane:
        host = self._make_host()
        return Lane(host, Slot(lambda: host.capacity))

    def _make_host(self) -> Host:
        if self._settings.engine_host == "inprocess":
            return InProcessHost()
        settings = self._settings
        if settings.engine_host == "ray":
            from stt_lab.engines.hosts.ray import RayHost

            return RayHost(settings)
        environ = worker_environ(self.device, settings.threads, settings.cpu_profile)
        return WorkerHost(environ, settings.idle_unload_s)

    @property
    def working(self) -> bool:
        """Whether a device has sound to work on."""
        return self._speech.slot.taken

    @property
    def capacity(self) -> int:
        """How many recordings are worked on at once: the devices, as far as they are known by now."""
        return self._speech.host.capacity

    @property
    def process(self) -> int | None:
        """Of the engines, where they have one of their own on this machine and it runs."""
        host = self._speech.host
        return host.pid if isinstance(host, WorkerHost) else None

    @contextmanager
    def slot(self, report: Report) -> Iterator[None]:
        """A device for sound, for one request at a time."""
        with self._speech.slot.hold(report, self.patience_s):
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
        why = "is not on this machine" if able else "cannot translate"
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
        return best, () if wanted == AUTO else (_instead(wanted, "is not on this machine", best),)

    def transcribe(
        self, model: catalog.Model, audio: Audio, language: str | None, report: Report, goal: Goal = "transcribe"
    ) -> Recognition:
        arguments: dict[str, object] = {"audio": audio, "language": language, "goal": goal}
        recognition: Recognition = self._run(model, "transcribe", arguments, report)
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

    def _run(self, model: catalog.Model, method: str, arguments: dict[str, object], report: Report) -> Any:
        folder = catalog.locate(model, self._settings)
        if folder is None:
            raise _missing(model.id)
        extra = catalog.extra(model, self._settings)
        spec = EngineSpec(folder, model.id, self.device, self._settings.threads, extra)
        lane = self._speech if model.task in SPEECH else self._text
        return lane.host.run(EngineCall(ENGINES[model.engine], spec, method, arguments), report)

    def close(self) -> None:
        self._speech.host.close()
        self._text.host.close()
