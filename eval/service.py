"""Time and memory of the running service, beside the plain library in the same run.

    python eval/service.py long      service / bare on the long files, diarize=false, interleaved
    python eval/service.py short     clips under 10 s, language=auto, models warm
    python eval/service.py memory    30 minutes and 2 hours with diarization: peak memory, last word's time
    python eval/service.py startup   from `stt-lab serve` to a page that answers

Recordings come from STT_LAB_SPEECH_DIR. Wall times are noisy on shared machines: quote ratios of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from stt_lab.settings import Settings, get_settings

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SETTLED, IDLE = 3, 10  # seconds before and of the look at an idle server
SAMPLE_EVERY = 0.2  # seconds between looks at the memory


def recordings(settings: Settings) -> list[dict[str, Any]]:
    manifest = settings.speech_dir / "manifest.jsonl"
    return [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]


@dataclass
class Service:
    """A server of its own, with an empty data directory, and what its process tree uses."""

    environ: dict[str, str]
    url: str = ""
    ready_after: float = 0.0  # seconds
    process: psutil.Popen = field(init=False)
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)  # the administrator has no limits

    def __enter__(self) -> Service:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._data = tempfile.TemporaryDirectory()
        environ = os.environ | {"STT_LAB_DATA_DIR": self._data.name, "STT_LAB_ADMIN_KEY": self.key} | self.environ
        began = time.perf_counter()
        command = [sys.executable, "-m", "stt_lab", "serve", "--port", str(port)]
        self.process = psutil.Popen(command, env=environ, stdout=subprocess.DEVNULL)
        while not self._answers():
            time.sleep(0.1)
        self.ready_after = time.perf_counter() - began
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url + "/", timeout=20).status_code == 200
        except httpx.TransportError:
            return False

    def __exit__(self, *raised: object) -> None:
        self.process.terminate()
        self.process.wait(15)
        self._data.cleanup()

    def tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def cpu(self) -> float:
        """User and system seconds of the server, its workers and decoders so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.tree())

    def memory(self) -> int:
        """Bytes resident in all processes; shared pages count for each."""
        total = 0
        for process in self.tree():
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def transcribe(self, path: Path, **fields: str) -> dict[str, Any]:
        wall, cpu = time.perf_counter(), self.cpu()
        answer = self.post(path, **fields).raise_for_status()
        return answer.json() | {"wall": time.perf_counter() - wall, "cpu": self.cpu() - cpu}

    def post(self, path: Path, **fields: str) -> httpx.Response:
        with path.open("rb") as file:
            return httpx.post(
                self.url + "/v1/transcribe",
                files={"file": file},
                data=fields,
                headers={"Authorization": f"Bearer {self.key}"},
                timeout=7200,
            )


class Bare:
    """eval/bare.py, kept running."""

    def __init__(self, settings: Settings, model: str, threads: int) -> None:
        command = [sys.executable, str(HERE / "bare.py"), str(settings.models_dir / model), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def transcribe(self, path: Path, **options: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({"path": str(path), "options": options}), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def peak_memory(service: Service) -> Iterator[list[int]]:
    """The largest sum over all processes while the block runs, as the one item of a list."""
    peak, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(SAMPLE_EVERY):
            peak[0] = max(peak[0], service.memory())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def long(settings: Settings, model: str, runs: int) -> dict[str, Any]:
    """Interleaved runs on the long files; bare with voice activity detection and word times, as the service has."""
    chosen = [r for r in recordings(settings) if r["id"].startswith("assembled__long_dev")]
    paths = [settings.speech_dir / r["path"] for r in chosen]
    bare = Bare(settings, model, settings.threads)
    times: dict[str, list[dict[str, float]]] = {"bare": [], "off": [], "fast": []}
    with Service({"STT_LAB_CPU_PROFILE": "off"}) as off, Service({"STT_LAB_CPU_PROFILE": "fast"}) as fast:
        for run in range(runs + 1):  # the first warms up and is not counted
            for path in paths if run else paths[:1]:
                made = {
                    "bare": bare.transcribe(path, language="en", beam_size=5, vad_filter=True, word_timestamps=True),
                    "off": off.transcribe(path, model=model, language="en", diarize="false"),
                    "fast": fast.transcribe(path, model=model, language="en", diarize="false"),
                }
                for who, answer in made.items():
                    print(run, path.name, who, f"{answer['wall']:.1f} s wall, {answer['cpu']:.1f} s cpu", flush=True)
                    if run:
                        times[who].append({k: answer[k] for k in ("wall", "cpu")} | {"file": path.name})
    bare.close()
    return {"model": model, "runs": runs, "times": times, "ratios": _ratios(times)}


def _ratios(times: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Medians over all pairs of runs of the same file, made one after the other."""
    ratios = {}
    for who in (who for who in times if who != "bare"):
        for what in ("wall", "cpu"):
            pairs = zip(times[who], times["bare"], strict=True)
            ratios[f"{who} {what}"] = statistics.median(one[what] / other[what] for one, other in pairs)
    return ratios


def short(settings: Settings, model: str, runs: int) -> dict[str, Any]:
    """Clips under 10 s, language=auto, beside the library, int8, with its defaults: no VAD, word times; 4 threads."""
    folders = ("librispeech_test_other", "fleurs_cuttledoc", "ljspeech", "picovoice")
    clips = [
        r for r in recordings(settings) if r["path"].startswith(folders) and r["duration_s"] < 10 and r.get("text")
    ]
    clips = clips[::runs]
    bare = Bare(settings, model, threads=0)  # its own number
    rows = []
    with Service({}) as service:
        for number, clip in enumerate([clips[0], *clips]):  # the first warms up
            path = settings.speech_dir / clip["path"]
            plain = bare.transcribe(path)
            ours = service.transcribe(path, model=model, diarize="false")
            same = ours["text"].split() == plain["text"].split()
            row = {"id": clip["id"], "bare": plain["wall"], "ours": ours["wall"], "same_text": same}
            row |= {"bare_cpu": plain["cpu"], "ours_cpu": ours["cpu"]}
            rows += [row] if number else []
            if not same:
                print(clip["id"])
                for who, answer in (("bare", plain), ("ours", ours)):
                    print(f"  {who}: {answer['language']} {answer['text']}")
    bare.close()
    ratio = statistics.median(row["bare"] / row["ours"] for row in rows)
    total = sum(row["bare"] for row in rows) / sum(row["ours"] for row in rows)
    cpu = sum(row["bare_cpu"] for row in rows) / sum(row["ours_cpu"] for row in rows)
    same = sum(row["same_text"] for row in rows)
    made = {"model": model, "clips": len(rows), "same_text": same, "rows": rows}
    return made | {"median_ratio": ratio, "sum_ratio": total, "cpu_ratio": cpu}


def memory(settings: Settings, model: str, runs: int) -> dict[str, Any]:
    """A long file repeated to 30 minutes and to 2 hours, diarization on."""
    from stt_lab.types import SAMPLE_RATE

    source = next(r for r in recordings(settings) if r["id"] == "assembled__long_dev_shuffled")
    made: dict[str, Any] = {"model": model}
    with tempfile.TemporaryDirectory() as folder:
        for minutes in (30, 120):
            path = Path(folder) / f"{minutes}.flac"
            samples = _repeat(settings.speech_dir / source["path"], minutes * 60 * SAMPLE_RATE, path)
            with Service({}) as service, peak_memory(service) as peak:
                answer = service.transcribe(path, model=model)
            last = answer["segments"][-1]["words"][-1]
            row = {"peak_mb": peak[0] / 1e6} | {key: answer[key] for key in ("wall", "cpu", "duration")}
            row |= {"rtf": answer["wall"] / answer["duration"], "speakers": len(answer["speakers"]), "last_word": last}
            made[str(minutes)] = row | {"decoded_samples": samples}
            print(minutes, row, flush=True)
    return made


def _repeat(source: Path, samples: int, target: Path) -> int:
    """Write whole repetitions of a recording as FLAC, at least `samples` long."""
    import av
    import numpy as np
    from faster_whisper.audio import decode_audio

    sound = (decode_audio(str(source)) * 32767).astype(np.int16)
    times = -(-samples // len(sound))
    with av.open(str(target), "w") as container:
        stream = container.add_stream("flac", rate=16000, layout="mono")
        for _ in range(times):
            frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return times * len(sound)


def startup(settings: Settings, model: str, runs: int) -> dict[str, Any]:
    """Seconds until GET / answers, and until `import stt_lab` returns; share of a core that an idle server takes."""
    pages, imports, idle = [], [], []
    for _ in range(runs):
        with Service({}) as service:
            pages.append(service.ready_after)
            time.sleep(SETTLED)
            used = service.cpu()
            time.sleep(IDLE)
            idle.append((service.cpu() - used) / IDLE)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import stt_lab"], check=True)
        imports.append(time.perf_counter() - began)
    return {"page_s": pages, "import_s": imports, "idle_cores": idle}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["long", "short", "memory", "startup"])
    parser.add_argument("--model", default="base")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    run = {"long": long, "short": short, "memory": memory, "startup": startup}[options.what]
    result = run(get_settings(), options.model, options.runs)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.what}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k not in ("rows", "times")}, indent=1))


if __name__ == "__main__":
    main()
