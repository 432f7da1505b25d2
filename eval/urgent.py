"""An urgent call while a long file is transcribed by the same worker, and a short recording beside a long one.

    python eval/urgent.py                          50 urgent calls in a file of 10 minutes (results/urgent.json)
    python eval/urgent.py --minutes 1 --calls 5    a try of a minute or two, not written

Recordings come from STT_LAB_SPEECH_DIR: the English utterance that is nearest to 3 s, and a recording of several
readers that is repeated until it is long enough. A gap is the time between two reports of the file alone: where the
worker may turn to urgent calls. The file is measured alone before and after; the mean of both is its time alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_lab.engines.pool import Pool
from stt_lab.runtime import Runtime, private_runtime
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_BYTES, SAMPLE_RATE, Audio, Event, Report, silent
from stt_lab.weights import catalog

RESULTS = Path(__file__).parent / "results"
LONG = "assembled__long_dev_shuffled"
SHORT_S = 3.0
WARM = 5  # urgent calls alone
SHARE, SLACK = 1.3, 0.05  # what an urgent call may take of its time alone, and the file beyond what the calls took


@dataclass(frozen=True)
class Run:
    """One recording, transcribed."""

    seconds: float
    text: str


class Gaps:
    """A report that knows when the recording got on, in seconds from the first report."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._last: Event | None = None

    def __call__(self, event: Event) -> None:
        if event != self._last and event.stage == "transcribing":
            self.times.append(time.perf_counter())
        self._last = event

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


class Bench:
    """The worker, and the recordings as decoded sound."""

    def __init__(self, runtime: Runtime, model: str, folder: Path, minutes: float) -> None:
        self._runtime, self._model = runtime, catalog.get(model)
        speech = runtime.settings.speech_dir
        rows = [json.loads(line) for line in (speech / "manifest.jsonl").read_text("utf-8").splitlines()]
        spoken = [row for row in rows if row["kind"] == "utterance" and row.get("language") == "en"]
        short = min(spoken, key=lambda row: abs(row["duration_s"] - SHORT_S))
        long = next(row for row in rows if row["id"] == LONG)
        self.names = {"short": short["id"], "long": long["id"]}
        self.short = self._decoded(speech / short["path"], folder / "short", 0)
        self.long = self._decoded(speech / long["path"], folder / "long", round(minutes * 60 * SAMPLE_RATE))

    def _decoded(self, path: Path, target: Path, samples: int) -> Audio:
        """A recording, repeated until it has so many samples and then cut there; 0: as it is."""
        with self._runtime.decoder.decode(path) as audio:
            raw = audio.path.read_bytes()
        if samples:
            raw = (raw * -(-samples * SAMPLE_BYTES // len(raw)))[: samples * SAMPLE_BYTES]
        target.write_bytes(raw)
        return Audio(target, len(raw) // SAMPLE_BYTES)

    @property
    def pool(self) -> Pool:
        return self._runtime.pool

    def file(self, audio: Audio, report: Report = silent) -> Run:
        """A recording as the product transcribes it."""
        began = time.perf_counter()
        with self.pool.slot(report):
            found = self.pool.transcribe(self._model, audio, "en", report)
        return Run(time.perf_counter() - began, " ".join(segment.text for segment in found.segments))

    def urgent(self) -> Run:
        began = time.perf_counter()
        found = self.pool.transcribe(self._model, self.short, "en", silent, session=began)
        return Run(time.perf_counter() - began, " ".join(segment.text for segment in found.segments))

    @contextmanager
    def beside(self, audio: Audio, report: Report = silent) -> Iterator[list[Run]]:
        """Transcribe a recording in a thread; the block gets a list that holds the run at its end."""
        runs: list[Run] = []
        thread = threading.Thread(target=lambda: runs.append(self.file(audio, report)))
        thread.start()
        try:
            yield runs
        finally:
            thread.join()


def urgent_calls(bench: Bench, calls: int) -> dict[str, Any]:
    """Urgent calls in the middle of a long file, which is transcribed again until all of them fell inside it."""
    gaps = Gaps()
    alone = [bench.urgent() for _ in range(WARM + 1)][1:]
    before = bench.file(bench.long, gaps)
    made, files = list[Run](), list[Run]()
    while len(made) < calls:
        found, file = _round(bench, calls - len(made), before.seconds / (calls + 1))
        made += found
        files.append(file)
    after = bench.file(bench.long)
    return _judged(alone, made, (before, after), files, gaps.gaps)


def _round(bench: Bench, calls: int, pause_s: float) -> tuple[list[Run], Run]:
    """The file once, with up to so many urgent calls that ended before it did."""
    made, begun = list[Run](), threading.Event()

    def report(event: Event) -> None:
        if event.stage == "transcribing":
            begun.set()

    with bench.beside(bench.long, report) as together:
        begun.wait()
        while len(made) < calls:
            time.sleep(pause_s)
            call = bench.urgent()
            if together:
                break
            made.append(call)
            print(f"  urgent: {call.seconds:.2f} s", flush=True)
    return made, together[0]


def _judged(
    alone: list[Run], calls: list[Run], files: tuple[Run, Run], together: list[Run], gaps: list[float]
) -> dict[str, Any]:
    call_s, gap_s = statistics.median(run.seconds for run in alone), statistics.median(gaps)
    file_s, latency = statistics.mean(run.seconds for run in files), statistics.median(run.seconds for run in calls)
    whole = sum(run.seconds for run in together)
    longer, took = whole - file_s * len(together), call_s * len(calls)
    return {
        "calls": len(calls),
        "call_alone_s": call_s,
        "gap_s": {"median": gap_s, "longest": max(gaps)},
        "latency_s": {"median": latency, "longest": max(run.seconds for run in calls)},
        "latency_limit_s": gap_s + SHARE * call_s,
        "latency_holds": latency <= gap_s + SHARE * call_s,
        "file_alone_s": [run.seconds for run in files],
        "files_together_s": [run.seconds for run in together],
        "file_longer_s": longer,
        "file_longer_limit_s": took + SLACK * file_s * len(together),
        "file_holds": longer <= took + SLACK * file_s * len(together),
        "file_text_unchanged": {run.text for run in together} == {files[0].text} == {files[1].text},
        "call_texts_unchanged": {run.text for run in calls} == {alone[0].text},
        "latencies_s": [run.seconds for run in calls],
    }


def short_beside_long(bench: Bench) -> dict[str, Any]:
    """A short recording that comes in the middle of a long one; neither is urgent."""
    alone = {"short": bench.file(bench.short), "long": bench.file(bench.long)}
    begun = threading.Event()

    def report(event: Event) -> None:
        if event.fraction > 0.1:
            begun.set()

    with bench.beside(bench.long, report) as together:
        begun.wait()
        short = bench.file(bench.short)
        waited = bool(together)
    return {
        "alone": {name: {"seconds": run.seconds} for name, run in alone.items()},
        "together": {"short": {"seconds": short.seconds}, "long": {"seconds": together[0].seconds}},
        "short_waited_for_long": waited,
        "texts_unchanged": (short.text, together[0].text) == (alone["short"].text, alone["long"].text),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--calls", type=int, default=50)
    options = parser.parse_args()
    runtime = private_runtime(get_settings())
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(runtime, options.model, Path(folder), options.minutes)
        made = {"model": options.model, "minutes": options.minutes, "threads": runtime.settings.threads}
        made |= {"recordings": bench.names, "urgent": urgent_calls(bench, options.calls)}
        made |= {"beside": short_beside_long(bench)}
    if (options.minutes, options.calls) == (10.0, 50):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "urgent.json").write_text(json.dumps(made, indent=1) + "\n")
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
