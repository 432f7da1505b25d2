"""A run: systems over recordings into a folder, from which it goes on wherever it was stopped.

    run = create(suite, Path("eval/runs"), settings, base=Path("eval"))   # or resume(folder, settings)
    predict(run, settings, on_progress)
    scores = scores.score(run)

The folder holds suite.json, predictions.jsonl and provenance.json. The systems take turns, recording by recording, and
who begins changes: what else happens on the machine hits all of them alike.
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
from stt_lab.lab.runs.predictions import Prediction, append, done, mend, read, write_json
from stt_lab.lab.runs.provenance import provenance
from stt_lab.lab.runs.suite import BY_LANGUAGE, Suite, moved, open_dataset, read_dict
from stt_lab.lab.runs.systems.protocol import Bench, Heard, System
from stt_lab.settings import Settings
from stt_lab.text import find_normaliser
from stt_lab.types import Audio, Event, Report, silent

log = logging.getLogger(__name__)

SUITE, PREDICTIONS, PROVENANCE = "suite.json", "predictions.jsonl", "provenance.json"
ENVS = Path("eval/envs")  # Python environments of other programs


@dataclass(frozen=True)
class Run:
    """A folder and what it is about."""

    folder: Path
    suite: Suite
    dataset: Dataset
    items: tuple[Item, ...]

    @property
    def digest(self) -> str:
        """Of the recordings that were chosen."""
        return replace(self.dataset, items=self.items).digest()

    @property
    def predictions(self) -> Path:
        return self.folder / PREDICTIONS


@dataclass(frozen=True)
class Progress:
    """How far a run is. `system` and `item` are what comes next, or what was done last at the end."""

    done: int
    total: int
    failed: int
    system: str
    item: str


OnProgress = Callable[[Progress], None]
Turn = Callable[[System], AbstractContextManager[Report]]  # around all that a system does; its wait is not measured


def at_once(system: System) -> AbstractContextManager[Report]:
    """The turn of a system that shares the machine with nobody."""
    return nullcontext(silent)


def create(suite: Suite, runs: Path, settings: Settings, base: Path, name: str = "") -> Run:
    """A new folder in `runs`. Paths of the suite are relative to `base`."""
    dataset = open_dataset(suite, base, settings)
    items = suite.items(dataset)
    if suite.normaliser != BY_LANGUAGE:
        find_normaliser(suite.normaliser, base)  # raises before there is a folder
    folder = runs / (name or f"{suite.name}-{datetime.now():%Y%m%d-%H%M%S}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise BadInput(f"There is a run at {folder}: go on with it by --resume, or choose another name.") from None
    run = Run(folder, _with_table(moved(suite, base, folder), base, folder), dataset, items)
    about = {"name": dataset.name, "digest": run.digest, "recordings": len(items)}
    write_json(folder / SUITE, {"suite": run.suite.as_dict(), "dataset": about})
    return run


def _with_table(suite: Suite, base: Path, folder: Path) -> Suite:
    """The suite with a copy of its normaliser's table, so that the run can be scored wherever its folder is."""
    table, plus, then = suite.normaliser.rpartition("+")
    if not plus:
        return suite
    shutil.copy(base / table, folder / Path(table).name)
    return replace(suite, normaliser=f"{Path(table).name}+{then}")


def resume(folder: Path, settings: Settings) -> Run:
    """The run of a folder. Raises BadInput where its recordings are no longer what they were."""
    try:
        written = json.loads((folder / SUITE).read_text("utf-8"))
        suite, about = read_dict(written["suite"]), written["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"There is no run at {folder}: it needs the {SUITE} that `stt-lab eval` wrote.") from None
    dataset = open_dataset(suite, folder, settings)
    run = Run(folder, suite, dataset, suite.items(dataset))
    if run.digest != about["digest"]:
        raise BadInput(f"The recordings of {dataset.name} changed since the run at {folder} began: begin a new one.")
    return run


def missing(run: Run) -> int:
    """How many rows the run lacks."""
    return sum(map(len, _Work(run, lambda progress: None, read(run.predictions)).left.values()))


def predict(run: Run, settings: Settings, on_progress: OnProgress = lambda progress: None, turn: Turn = at_once) -> int:
    """Let the systems hear what they have not yet heard; the number of rows that were added.

    `turn` may wait for a device that others use, and gives a report, which may raise Cancelled as `on_progress` may.
    Raises Conflict where another process is at it. A recording that a system fails on is a row with its error.
    """
    lock = FileLock(run.folder / ".lock")
    try:
        with lock.acquire(timeout=0):
            mend(run.predictions)
            before = read(run.predictions)
            work = _Work(run, on_progress, before, turn)
            if work.left:
                _predict(work, settings)
            on_progress(work.progress("", ""))
            return work.added
    except Timeout:
        raise Conflict(f"Another process works on the run at {run.folder}: let it end.") from None


@dataclass
class _Work:
    """What is left to do, and where the rows go; used by several threads at once."""

    run: Run
    on_progress: OnProgress
    before: Sequence[Prediction]
    turn: Turn = at_once
    added: int = 0
    failed: int = 0
    left: dict[str, tuple[str, ...]] = field(default_factory=dict)  # item -> systems that have not heard it
    total: int = 0
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        have = done(self.before)
        self.failed = sum(one.error is not None for one in self.before)
        for turn, item in enumerate(self.run.items):
            wanted = [entry.name for entry in self.run.suite.systems if entry.hears(item)]
            self.total += len(wanted)
            names = tuple(name for name in _rotated(wanted, turn) if (name, item.id) not in have)
            if names:
                self.left[item.id] = names

    def progress(self, system: str, item: str) -> Progress:
        return Progress(self.total - self._missing(), self.total, self.failed, system, item)

    def _missing(self) -> int:
        return sum(map(len, self.left.values())) - self.added

    def tell(self, system: str, item: str) -> None:
        with self._lock:
            self.on_progress(self.progress(system, item))

    def add(self, prediction: Prediction) -> None:
        with self._lock:
            append(self.run.predictions, prediction)
            self.added += 1
            self.failed += prediction.error is not None


def _rotated(names: Sequence[str], turn: int) -> list[str]:
    """The names, beginning with another one each turn."""
    first = turn % len(names) if names else 0
    return [*names[first:], *names[:first]]


def _predict(work: _Work, settings: Settings) -> None:
    suite = work.run.suite
    wanted = {name for names in work.left.values() for name in names}
    with ExitStack() as ends:
        decoder = ends.enter_context(own_decoder(settings))
        systems: dict[str, System] = {}
        for entry in suite.systems:
            if entry.name in wanted:
                bench = Bench(entry.name, settings, ENVS, suite.timeout_s)
                systems[entry.name] = ends.enter_context(closing(entry.wish.make(bench)))
        _warm(work, systems, decoder)
        _note(work.run.folder / PROVENANCE, provenance(settings, systems.values()) | {"seed": suite.seed})
        _all(work, systems, decoder)


def _note(path: Path, now: dict[str, Any]) -> None:
    """Write down what the rows depend on; of a run that goes on under other circumstances, the earlier ones too."""
    try:
        before = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        write_json(path, now)
        return
    now["systems"] = before["systems"] | now["systems"]  # those that had heard everything are not made again
    earlier = before.pop("earlier", [])
    if before | {"made": None} == now | {"made": None}:
        now["made"] = before["made"]
    else:
        earlier = [*earlier, before]
    write_json(path, now | ({"earlier": earlier} if earlier else {}))


def _warm(work: _Work, systems: dict[str, System], decoder: Decoder) -> None:
    """Let every system load, and hear the shortest recording with speech once before anything is measured."""
    suite = work.run.suite
    for entry in suite.systems:
        if entry.name not in systems:
            continue
        system = systems[entry.name]
        work.tell(system.name, "")
        with work.turn(system) as report:
            system.start(report)
        heard = [item for item in work.run.items if entry.hears(item) and item.id in work.left]
        if system.remote or not heard:
            continue
        item = min(heard, key=lambda item: (item.text == "", item.duration or 60.0))
        try:
            with decoder.decode(item.audio) as audio, work.turn(system) as report:
                system.transcribe(item, audio, _patience(suite.timeout_s, report))
        except Cancelled:
            raise
        except Exception as problem:  # it may do better on the others
            log.info("%s failed while it was warming up: %s", system.name, problem)


def _all(work: _Work, systems: dict[str, System], decoder: Decoder) -> None:
    """Recording after recording; several at once where a system works on several devices."""
    threads = max((system.capacity for system in systems.values()), default=1)
    items = [item for item in work.run.items if item.id in work.left]

    def hear(item: Item) -> None:
        _hear(work, [systems[name] for name in work.left[item.id]], item, decoder, threads == 1)

    if threads == 1:
        for item in items:
            hear(item)
        return
    with ThreadPoolExecutor(threads) as crew:
        try:
            for _ in crew.map(hear, items):
                pass
        except BaseException:
            crew.shutdown(wait=False, cancel_futures=True)
            raise


def _hear(work: _Work, systems: Sequence[System], item: Item, decoder: Decoder, alone: bool) -> None:
    """One recording by all systems that have not heard it."""
    with ExitStack() as ends:
        try:
            audio = ends.enter_context(decoder.decode(item.audio, lambda event: work.tell(systems[0].name, item.id)))
        except Cancelled:
            raise
        except SttError as problem:
            for system in systems:
                work.add(Prediction(system.name, item.id, item.duration, error=str(problem)))
            return
        for system in systems:
            work.tell(system.name, item.id)
            with work.turn(system) as report:
                prediction = _one(system, item, audio, alone, _patience(work.run.suite.timeout_s, report))
            work.add(prediction)


def _one(system: System, item: Item, audio: Audio, alone: bool, report: Report) -> Prediction:
    heard, error = Heard(None), None
    with measured(system.processes, alone) as cost:
        try:
            heard = system.transcribe(item, audio, report)
        except Cancelled:
            raise
        except SttError as problem:
            error = str(problem)
        except Exception as problem:
            log.exception("%s failed on %s", system.name, item.id)
            error = f"The system failed in a way that nobody foresaw ({type(problem).__name__}): the log says more."
    return _row(system.name, item.id, audio, heard, cost, error)


def _row(system: str, item: str, audio: Audio, heard: Heard, cost: Cost, error: str | None) -> Prediction:
    costs: dict[str, Any] = {"seconds": round(cost.seconds, 4), "busy": cost.busy}
    for name, value in (("cpu", cost.cpu), ("memory_mb", cost.memory_mb), ("joules", cost.joules)):
        costs[name] = None if value is None else round(value, 3)
    return Prediction(
        system, item, audio.duration, heard.text, heard.language, heard.segments, heard.turns, error=error, **costs
    )


def _patience(seconds: float, other: Report) -> Report:
    """A report that ends work which takes too long, and passes on what it is told."""
    deadline = time.monotonic() + seconds

    def report(event: Event) -> None:
        if time.monotonic() > deadline:
            raise Unavailable("The recording took too long: raise timeout_s of the suite, or leave the file out.")
        other(event)

    return report
