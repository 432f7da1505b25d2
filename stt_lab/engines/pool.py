"""Which engine serves a request, and when: models resolved to what is on disk, one slot per device, a bounded queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stt_lab.engines import catalog
from stt_lab.engines.host import Host, InProcessHost, Task, WorkerHost, worker_environ
from stt_lab.engines.protocols import Placement, Report
from stt_lab.errors import BadInput, Busy, ModelMissing
from stt_lab.settings import Settings
from stt_lab.types import Audio, Diarization, Event, Recognition

ENGINES = {  # engine of the catalog -> class; imported where it works
    "faster-whisper": "stt_lab.engines.whisper:WhisperTranscriber",
    "pyannote": "stt_lab.engines.pyannote:PyannoteDiarizer",
}
POLL_S = 0.25  # how soon a waiting request notices that it was cancelled
RETRY_AFTER_S = 30


class Slot:
    """One at a time, first come first served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: deque[threading.Event] = deque()  # the first one holds the slot, and its event is set

    @contextmanager
    def hold(self, report: Report, timeout_s: float) -> Iterator[None]:
        """Wait for the slot, reporting "queued", and hold it. Raises Busy after `timeout_s`."""
        turn = threading.Event()
        with self._lock:
            self._line.append(turn)
            self._line[0].set()
        try:
            _wait(turn, report, timeout_s)
            yield
        finally:
            with self._lock:
                self._line.remove(turn)
                if self._line:
                    self._line[0].set()


def _wait(turn: threading.Event, report: Report, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not turn.is_set():
        if time.monotonic() >= deadline:
            raise Busy("This machine is busy with earlier recordings: try again later.", retry_after=RETRY_AFTER_S)
        report(Event("queued"))
        turn.wait(POLL_S)


def _missing(model_id: str) -> ModelMissing:
    return ModelMissing(
        f"The model '{model_id}' is not on this machine: fetch it there with `stt-lab models pull {model_id}`."
    )


class Pool:
    """The engines of this installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.device = catalog.device(settings)
        self._host = self._make_host()
        self._slot = Slot()
        self._places = threading.BoundedSemaphore(1 + settings.queue_size)  # the one that works and those that wait

    def _make_host(self) -> Host:
        if self._settings.engine_host == "inprocess":
            return InProcessHost()
        settings = self._settings
        environ = worker_environ(self.device, settings.threads, settings.cpu_profile)
        return WorkerHost(environ, settings.idle_unload_s)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the bounded queue, to be taken before anything is spent on a request."""
        if not self._places.acquire(blocking=False):
            raise Busy("Too many recordings are waiting on this machine: try again later.", retry_after=RETRY_AFTER_S)
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def slot(self, report: Report) -> Iterator[None]:
        """The device, for one request at a time."""
        with self._slot.hold(report, self._settings.queue_timeout_s):
            yield

    def resolve(self, task: str, wanted: str) -> tuple[catalog.Model, tuple[str, ...]]:
        """The model that serves a wish: itself when it is on this machine, else the best that is, with a warning."""
        model = catalog.get(wanted)
        if model.task != task:
            known = ", ".join(m.id for m in catalog.models(task))
            raise BadInput(f"The model '{wanted}' cannot {task}: choose one of {known}.")
        if catalog.available(model, self._settings):
            return model, ()
        best = None if self._settings.strict_models else catalog.best(task, self._settings)
        if best is None:
            raise _missing(wanted)
        return best, (f"The model '{wanted}' is not on this machine; '{best.id}' was used instead.",)

    def best(self, task: str) -> catalog.Model:
        """The best model of a task that is on this machine."""
        model = catalog.best(task, self._settings)
        if model is None:
            raise ModelMissing(
                f"No model that can {task} is on this machine: fetch one there with `stt-lab models pull`."
            )
        return model

    def transcribe(self, model: catalog.Model, audio: Audio, language: str | None, report: Report) -> Recognition:
        recognition: Recognition = self._run(model, "transcribe", {"audio": audio, "language": language}, report)
        return recognition

    def diarize(self, model: catalog.Model, audio: Audio, speakers: int, report: Report) -> Diarization:
        diarization: Diarization = self._run(model, "diarize", {"audio": audio, "speakers": speakers}, report)
        return diarization

    def _run(self, model: catalog.Model, method: str, arguments: dict[str, object], report: Report) -> Any:
        folder = catalog.locate(model, self._settings)
        if folder is None:
            raise _missing(model.id)
        extra = catalog.extra(model, self._settings)
        placement = Placement(folder, model.id, self.device, self._settings.threads, extra)
        return self._host.run(Task(ENGINES[model.engine], placement, method, arguments), report)

    def close(self) -> None:
        self._host.close()
