"""Run systems over recordings into a folder, and resume a run that was stopped.

    run = create(suite, Path("eval/runs"), settings, base=Path("eval"))   # or resume(folder, settings)
    predict(run, settings, on_progress)
    scores = scores.score(run)

The folder contains suite.json, predictions.jsonl and provenance.json. The systems take turns, recording by recording,
and the first one rotates, so that other load on the machine affects all of them alike.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from filelock import FileLock, Timeout

from stt_lab.audio import Decoder
from stt_lab.errors import BadInput, Cancelled, Conflict, SttError, Unavailable
from stt_lab.lab.data.dataset import Dataset, Item
from stt_lab.lab.noise.sound import own_decoder
from stt_lab.lab.runs.meter import Cost, measured
from stt_lab.lab.runs.predictions import Prediction, append, done, read, repair, write_json
from stt_lab.lab.runs.provenance import provenance
from stt_lab.lab.runs.suite import BY_LANGUAGE, Suite, moved, open_dataset, read_dict
from stt_lab.lab.runs.systems.protocol import System, SystemContext, SystemOutput
from stt_lab.settings import Settings
from stt_lab.text import find_normaliser
from stt_lab.types import Audio, Event, Report, silent

log = logging.getLogger(__name__)

SUITE, PREDICTIONS, PROVENANCE = "suite.json", "predictions.jsonl", "provenance.json"
ENVS = Path("eval/envs")  # Python environments of external programs


@dataclass(frozen=True)
class Run:
    """A run: its folder, suite, dataset and selected recordings."""

    folder: Path
    suite: Suite
    dataset: Dataset
    items: tuple[Item, ...]

    @property
    def digest(self) -> str:
        """Digest of the selected recordings."""
        return replace(self.dataset, items=self.items).digest()

    @property
    def predictions(self) -> Path:
        return self.folder / PREDICTIONS


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run. `system` and `item` are being worked on; "" at the end."""

    done: int
    total: int
    failed: int
    system: str
    item: str


OnProgress = Callable[[RunProgress], None]
Turn = Callable[
    [System], AbstractContextManager[Report]
]  # entered around all work of a system; waiting in it is not measured


def at_once(system: System) -> AbstractContextManager[Report]:
    """Start immediately: the turn of a system that has the machine to itself."""
    return nullcontext(silent)


def create(suite: Suite, runs: Path, settings: Settings, base: Path, name: str = "") -> Run:
    """Create a run in a new folder of `runs`. Paths in the suite are relative to `base`."""
    dataset = open_dataset(suite, base, settings)
    items = suite.items(dataset)
    if suite.normaliser != BY_LANGUAGE:
        find_normaliser(suite.normaliser, base)  # raises before the folder is created
    folder = runs / (name or f"{suite.name}-{datetime.now():%Y%m%d-%H%M%S}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise BadInput(
            f"A run already exists at {folder}. Continue it with --resume, or choose another name."
        ) from None
    run = Run(folder, _with_table(moved(suite, base, folder), base, folder), dataset, items)
    about = {"name": dataset.name, "digest": run.digest, "recordings": len(items)}
    write_json(folder / SUITE, {"suite": run.suite.as_dict(), "dataset": about})
    return run


def _with_table(suite: Suite, base: Path, folder: Path) -> Suite:
    """Copy the normaliser's table into the run's folder, so that the run can be scored after it was moved."""
    table, plus, then = suite.normaliser.rpartition("+")
    if not plus:
        return suite
    shutil.copy(base / table, folder / Path(table).name)
    return replace(suite, normaliser=f"{Path(table).name}+{then}")


def resume(folder: Path, settings: Settings) -> Run:
    """Open the run of a folder. Raises BadInput if its recordings have changed."""
    try:
        written = json.loads((folder / SUITE).read_text("utf-8"))
        suite, about = read_dict(written["suite"]), written["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(
            f"No run was found at {folder}. Pass a folder with the {SUITE} that `stt-lab eval` wrote."
        ) from None
    dataset = open_dataset(suite, folder, settings)
    run = Run(folder, suite, dataset, suite.items(dataset))
    if run.digest != about["digest"]:
        raise BadInput(
            f"The recordings of {dataset.name} have changed since the run at {folder} began. Start a new run."
        )
    return run


def missing(run: Run) -> int:
    """Count the predictions that the run lacks."""
    return sum(map(len, _PendingWork(run, lambda progress: None, read(run.predictions)).left.values()))


def predict(run: Run, settings: Settings, on_progress: OnProgress = lambda progress: None, turn: Turn = at_once) -> int:
    """Make the predictions that a run lacks; return how many rows were added.

    `turn` may wait for a shared device and yields a report; both it and `on_progress` may raise Cancelled. If a system
    fails on a recording, its row contains the error. Raises Conflict if another process works on the run.
    """
    lock = FileLock(run.folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            repair(run.predictions)
            before = read(run.predictions)
            work = _PendingWork(run, on_progress, before, turn)
            if work.left:
                _predict(work, settings)
            on_progress(work.progress("", ""))
            return work.added
    except Timeout:
        raise Conflict(f"Another process is working on the run at {run.folder}. Wait until it ends.") from None


@dataclass
class _PendingWork:
    """The missing predictions of a run, and where finished ones go; used by several threads at once."""

    run: Run
    on_progress: OnProgress
    before: Sequence[Prediction]
    turn: Turn = at_once
    added: int = 0
    failed: int = 0
    left: dict[str, tuple[str, ...]] = field(default_factory=dict)  # item -> systems without a prediction of it
    total: int = 0
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        have = done(self.before)
        self.failed = sum(one.error is not None for one in self.before)
        for turn, item in enumerate(self.run.items):
            wanted = [entry.name for entry in self.run.suite.systems if entry.covers(item)]
            self.total += len(wanted)
            names = tuple(name for name in _rotated(wanted, turn) if (name, item.id) not in have)
            if names:
                self.left[item.id] = names

    def progress(self, system: str, item: str) -> RunProgress:
        return RunProgress(self.total - self._missing(), self.total, self.failed, system, item)

    def _missing(self) -> int:
        return sum(map(len, self.left.values())) - self.added

    def announce(self, system: str, item: str) -> None:
        with self._lock:
            self.on_progress(self.progress(system, item))

    def add(self, prediction: Prediction) -> None:
        with self._lock:
            append(self.run.predictions, prediction)
            self.added += 1
            self.failed += prediction.error is not None


def _rotated(names: Sequence[str], turn: int) -> list[str]:
    """Rotate the names by one per turn."""
    first = turn % len(names) if names else 0
    return [*names[first:], *names[:first]]


def _predict(work: _PendingWork, settings: Settings) -> None:
    suite = work.run.suite
    wanted = {name for names in work.left.values() for name in names}
    with ExitStack() as ends:
        decoder = ends.enter_context(own_decoder(settings))
        systems: dict[str, System] = {}
        for entry in suite.systems:
            if entry.name in wanted:
                context = SystemContext(entry.name, settings, ENVS, suite.timeout_s)
                systems[entry.name] = ends.enter_context(closing(entry.config.make(context)))
        _warm(work, systems, decoder)
        _note(work.run.folder / PROVENANCE, provenance(settings, systems.values()) | {"seed": suite.seed})
        _all(work, systems, decoder)


def _note(path: Path, now: dict[str, Any]) -> None:
    """Write the provenance; if a resumed run has another one, keep the earlier ones too."""
    try:
        before = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        write_json(path, now)
        return
    now["systems"] = before["systems"] | now["systems"]  # systems that are complete are not started again
    earlier = before.pop("earlier", [])
    if before | {"made": None} == now | {"made": None}:
        now["made"] = before["made"]
    else:
        earlier = [*earlier, before]
    write_json(path, now | ({"earlier": earlier} if earlier else {}))


def _warm(work: _PendingWork, systems: dict[str, System], decoder: Decoder) -> None:
    """Load every system and transcribe its shortest recording with speech once, before anything is measured."""
    suite = work.run.suite
    for entry in suite.systems:
        if entry.name not in systems:
            continue
        system = systems[entry.name]
        work.announce(system.name, "")
        with work.turn(system) as report:
            system.start(report)
        covered = [item for item in work.run.items if entry.covers(item) and item.id in work.left]
        if system.remote or not covered:
            continue
        item = min(covered, key=lambda item: (item.text == "", item.duration or 60.0))
        try:
            with decoder.decode(item.audio) as audio, work.turn(system) as report:
                system.transcribe(item, audio, _patience(suite.timeout_s, report))
        except Cancelled:
            raise
        except Exception as problem:  # it may succeed on the others
            log.info("%s failed while it was warming up: %s", system.name, problem)


def _all(work: _PendingWork, systems: dict[str, System], decoder: Decoder) -> None:
    """Process the recordings, several at once if a system has several devices."""
    threads = max((system.capacity for system in systems.values()), default=1)
    items = [item for item in work.run.items if item.id in work.left]

    def process(item: Item) -> None:
        _process(work, [systems[name] for name in work.left[item.id]], item, decoder, threads == 1)

    if threads == 1:
        for item in items:
            process(item)
        return
    with ThreadPoolExecutor(threads) as executor:
        try:
            for _ in executor.map(process, items):
                pass
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _process(work: _PendingWork, systems: Sequence[System], item: Item, decoder: Decoder, alone: bool) -> None:
    """Process one recording with every system that lacks a prediction of it."""
    with ExitStack() as ends:
        try:
            audio = ends.enter_context(
                decoder.decode(item.audio, lambda event: work.announce(systems[0].name, item.id))
            )
        except Cancelled:
            raise
        except SttError as problem:
            for system in systems:
                work.add(Prediction(system.name, item.id, item.duration, error=str(problem)))
            return
        for system in systems:
            work.announce(system.name, item.id)
            with work.turn(system) as report:
                prediction = _one(system, item, audio, alone, _patience(work.run.suite.timeout_s, report))
            work.add(prediction)


def _one(system: System, item: Item, audio: Audio, alone: bool, report: Report) -> Prediction:
    output, error = SystemOutput(None), None
    with measured(system.processes, alone) as cost:
        try:
            output = system.transcribe(item, audio, report)
        except Cancelled:
            raise
        except SttError as problem:
            error = str(problem)
        except Exception as problem:
            log.exception("%s failed on %s", system.name, item.id)
            error = f"The system failed unexpectedly ({type(problem).__name__}). See the log."
    return _row(system.name, item.id, audio, output, cost, error)


def _row(system: str, item: str, audio: Audio, output: SystemOutput, cost: Cost, error: str | None) -> Prediction:
    costs: dict[str, Any] = {"seconds": round(cost.seconds, 4), "busy": cost.busy}
    for name, value in (("cpu", cost.cpu), ("memory_mb", cost.memory_mb), ("joules", cost.joules)):
        costs[name] = None if value is None else round(value, 3)
    return Prediction(
        system, item, audio.duration, output.text, output.language, output.segments, output.turns,
        error=error, stream=output.stream, **costs,
    )  # fmt: skip


def _patience(seconds: float, other: Report) -> Report:
    """Return a report that raises Unavailable after the timeout, and forwards events otherwise."""
    deadline = time.monotonic() + seconds

    def report(event: Event) -> None:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"The recording took longer than {seconds:g} s. Raise timeout_s of the suite, or exclude it."
            )
        other(event)

    return report
