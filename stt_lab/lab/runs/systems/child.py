"""External programs, each in a child process and, if there is one, in its own Python environment.

The child is `drivers/loop.py DRIVER`; messages are JSON lines, and audio is passed as a file of decoded samples. The
environment is the folder `eval/envs/ENGINE` or the system's `python`; otherwise this Python is tried.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from stt_lab.child import Child, clean_environ
from stt_lab.engines.hosts import LIBRARIES, tuning
from stt_lab.errors import BadInput, Cancelled, EngineCrashed, ModelMissing, SttError, Unavailable
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.systems.protocol import System, SystemContext, SystemOutput, language_setting, speaker_setting
from stt_lab.settings import Settings
from stt_lab.types import Audio, Event, Report, Segment, Turn, Word
from stt_lab.weights import catalog, devices

DRIVERS = Path(__file__).with_name("drivers")
LOAD_S = 600.0  # a cold disk, and importing torch
POLL_S = 0.2
CONVERTED = {"ggml": "{}.ggml", "pt": "{}.pt"}  # written by eval/convert_ggml.py to models_dir/converted


@dataclass(frozen=True)
class Program:
    """What differs between external programs."""

    driver: str
    requirement: str  # of pip
    weights: str = "ct2"  # format that it reads: ct2, ggml or pt
    task: str = "transcribe"
    module: str = ""  # that its driver imports


PROGRAMS = {
    "faster-whisper": Program("bare_faster_whisper", "faster-whisper>=1.2.1", module="faster_whisper"),
    "openai-whisper": Program("bare_openai_whisper", "openai-whisper>=20250625", "pt", module="whisper"),
    "whisper.cpp": Program("bare_whisper_cpp", "pywhispercpp>=1.5", "ggml", module="pywhispercpp"),
    "whisperx": Program("bare_whisperx", "whisperx>=3.8", module="whisperx"),
    "whisperlivekit": Program("serve_whisperlivekit", "whisperlivekit>=0.2.26", module="whisperlivekit"),
    "pyannote": Program("bare_pyannote", "pyannote.audio>=4.0.7", task="diarize", module="pyannote.audio"),
}


@dataclass(frozen=True)
class ExternalConfig:
    """Settings of a program in PROGRAMS. `options` are passed to it unchanged."""

    engine: ClassVar[str]

    model: str  # of the catalog: the same weights as for our engines
    language: str = "auto"  # auto, known, or a code
    speakers: int | Literal["known"] = 0  # known: as many as in the reference
    options: Mapping[str, Any] = field(default_factory=dict)
    python: str = ""  # interpreter with the program; relative to the working directory

    def make(self, context: SystemContext) -> System:
        return ChildSystem(self, context, PROGRAMS[self.engine])


@dataclass(frozen=True)
class FasterWhisper(ExternalConfig):
    engine: ClassVar[str] = "faster-whisper"


@dataclass(frozen=True)
class OpenAiWhisper(ExternalConfig):
    engine: ClassVar[str] = "openai-whisper"


@dataclass(frozen=True)
class WhisperCpp(ExternalConfig):
    engine: ClassVar[str] = "whisper.cpp"


@dataclass(frozen=True)
class WhisperX(ExternalConfig):
    engine: ClassVar[str] = "whisperx"


@dataclass(frozen=True)
class Pyannote(ExternalConfig):
    engine: ClassVar[str] = "pyannote"


class ChildSystem:
    remote = False
    capacity = 1

    def __init__(self, config: ExternalConfig, context: SystemContext, program: Program) -> None:
        self.name = context.name
        self._config, self._context, self._program = config, context, program
        able = catalog.models(program.task)
        self._model = catalog.get(config.model, able)
        if self._model.task != program.task:
            others = ", ".join(catalog.names(able))
            raise BadInput(
                f"The model '{config.model}' cannot {program.task}. Choose another one for {context.name!r}: {others}."
            )
        self._weights = Path()
        self._python = interpreter(config, context)
        self._child: DriverProcess | None = None
        self._versions: dict[str, Any] = {}  # of packages, as the program reports them
        self._turn = threading.Lock()

    def start(self, report: Report) -> None:
        self._weights = weights_for(self._model, self._program, self._context.settings)
        try:
            self._ready(report)
        except Cancelled:
            raise
        except SttError as problem:
            reason = str(problem).rstrip(".")
            remedy = install(self._config, self._context.envs)
            why = f"The system {self.name!r} cannot start. {reason}. {remedy}, or exclude it with --systems."
            raise Unavailable(why) from None

    def transcribe(self, item: Item, audio: Audio, report: Report) -> SystemOutput:
        request: dict[str, Any] = {"sound": str(audio.path), "language": language_setting(self._config.language, item)}
        if self._program.task == "diarize":
            request["speakers"] = speaker_setting(self._config.speakers, item)
        with self._turn:
            child = self._ready(report)
            answer = child.ask(request, self._context.timeout_s, report)
        return _output_of(answer)

    def _ready(self, report: Report) -> DriverProcess:
        if self._child is None or not self._child.alive:
            self.close()
            self._child = DriverProcess(
                [str(self._python), str(DRIVERS / "loop.py"), self._program.driver], _environ(self._context)
            )
            report(Event("loading"))
            self._versions = self._child.ask(self._hello(), LOAD_S, report)
        return self._child

    def _hello(self) -> dict[str, Any]:
        extra = catalog.extra(self._model, self._context.settings)
        return {
            "model": self._model.id,
            "weights": str(self._weights),
            "extra": {name: str(path) for name, path in extra},
            "threads": self._context.settings.threads,
            "device": devices.device(self._context.settings),
            "options": dict(self._config.options),
        }

    def processes(self) -> tuple[int, ...]:
        return (self._child.process.pid,) if self._child is not None and self._child.alive else ()

    def provenance(self) -> dict[str, Any]:
        config = {name: value for name, value in asdict(self._config).items() if name != "python"}
        files = (
            [self._weights] if self._weights.is_file() else sorted(p for p in self._weights.iterdir() if p.is_file())
        )
        weights = {path.name: catalog.sha256(path) for path in files}
        return {
            "engine": self._config.engine,
            "settings": config,
            "weights": {self._model.id: weights},
        } | self._versions

    def close(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def install(config: ExternalConfig, envs: Path) -> str:
    """Say how to install a program, without a full stop."""
    folder = (envs / config.engine).as_posix()
    requirement = PROGRAMS[config.engine].requirement
    return f"Install it with `python -m venv {folder} && {folder}/bin/pip install '{requirement}'`"


def weights_for(model: catalog.Model, program: Program, settings: Settings) -> Path:
    """Return the file or folder that the program reads. Raises ModelMissing with the command that fetches it."""
    if program.weights == "ct2":
        folder = catalog.locate(model, settings)
        if folder is None:
            raise ModelMissing(
                f"The model '{model.id}' is not installed. Fetch it with `stt-lab models pull {model.id}`."
            )
        return folder
    path = settings.models_dir / "converted" / CONVERTED[program.weights].format(model.id)
    if not path.is_file():
        raise ModelMissing(
            f"The weights of '{model.id}' in the format {program.weights} do not exist."
            f" Convert them with `python eval/convert_ggml.py {model.id}`."
        )
    return path


def interpreter(config: ExternalConfig, context: SystemContext) -> Path:
    """Return the program's interpreter without resolving links, which would leave the virtual environment."""
    own = context.envs / config.engine / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    chosen = Path(config.python).absolute() if config.python else own if own.exists() else Path(sys.executable)
    if not chosen.exists():
        raise BadInput(f"No Python was found at {config.python!r}. Correct `python` of the system {context.name!r}.")
    return chosen


def _environ(context: SystemContext) -> dict[str, str]:
    """Return an environment for Python and its libraries: no PYTHONPATH, no secrets, tuned as for our engines."""
    device, settings = devices.device(context.settings), context.settings
    tuned = tuning(device, settings.threads, "off")
    return clean_environ(*LIBRARIES, own_python=False) | tuned | {"TRANSFORMERS_OFFLINE": "1"}


class DriverProcess(Child):
    """A running driver, which answers one request at a time."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        super().__init__(command, environ, stderr="keep")

    def ask(self, request: Mapping[str, Any], patience_s: float, report: Report) -> dict[str, Any]:
        """Send a request and return its answer. Kills the process on a timeout, or if `report` raises."""
        try:
            self.send(request)
            answer = self._wait(time.monotonic() + patience_s, report)
        except EOFError:
            raise self._crash() from None
        except BaseException:
            self.end()
            raise
        if "error" in answer:
            raise SttError(answer["error"])
        return answer

    def _wait(self, deadline: float, report: Report) -> dict[str, Any]:
        while time.monotonic() < deadline:
            answer: dict[str, Any] | None = self.receive(POLL_S)
            if answer is not None:
                return answer
            report(Event("transcribing"))  # lets a cancel through
        raise Unavailable("The program did not answer in time. Raise timeout_s of the suite, or exclude the recording.")

    def _crash(self) -> EngineCrashed:
        self.process.wait()
        lines = [line.strip() for line in self.stderr_tail().splitlines() if line.strip()]
        said = lines[-1] if lines else "no message."
        return EngineCrashed(f"The program ended without an answer (status {self.process.returncode}): {said}")


# Answers


def _output_of(answer: dict[str, Any]) -> SystemOutput:
    segments = tuple(_segment(row) for row in answer.get("segments", ()))
    turns = answer.get("turns")
    text = answer.get("text")
    return SystemOutput(
        text=None if text is None else str(text).strip(),
        language=answer.get("language"),
        segments=segments,
        turns=None if turns is None else tuple(Turn(row["start"], row["end"], row["speaker"]) for row in turns),
    )


def _segment(row: dict[str, Any]) -> Segment:
    words = tuple(Word(*_times(word), word["word"], word.get("probability")) for word in row.get("words") or ())
    return Segment(*_times(row), row["text"].strip(), words, row.get("speaker"))


def _times(row: dict[str, Any]) -> tuple[float, float]:
    """Return valid start and end times: segments of other programs may end before they start."""
    start = max(0.0, float(row["start"]))
    return start, max(start, float(row["end"]))
