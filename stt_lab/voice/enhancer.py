"""Remove noise and set the loudness in a separate process with limits: the child program of `enhancement`.

    python -m stt_lab.voice.enhancer MEMORY_MB

Reads one request as a JSON line from stdin (the fields of `enhancement.Request`) and answers with JSON lines on stdout:
{"stage": "enhancing", "fraction": 0.5} repeatedly, then {"done": {...}}. It ends with its stdin. The sound stays in
files, of which blocks of ten seconds are in memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_lab.child import limit_memory
from stt_lab.voice.deepfilter import RATE, DeepFilter
from stt_lab.voice.levels import Limiter, LoudnessMeter
from stt_lab.voice.resampling import BlockResampler

if TYPE_CHECKING:
    from stt_lab.types import Samples

BLOCK_S = 10.0
REPORT_EVERY = 0.25  # seconds
CLOSE_ENOUGH, TOLERANCE = 0.1, 0.5  # LU from the wanted loudness: to stop trying, and to call it reached
ATTEMPTS = 8  # to reach it: what the limiter takes away is added to the gain
LARGEST_STEP, FLATTEST = 10.0, 0.1  # dB of an attempt, and least loudness in LU that a dB is taken to bring
FULL = 32_768
NICE = 5  # below the engines, which may be serving live speech

Say = Callable[[dict[str, Any]], None]


def main() -> None:
    """Answer one request."""
    limit_memory(int(sys.argv[1]))
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)  # behind other work
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    say({"done": enhance(request, say)})


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def enhance(request: dict[str, Any], tell: Say = say) -> dict[str, Any]:
    """Clean the sound in `source`, and write it to `target` as WAV.

    Returns `before` and `after` (LUFS, or None), `clipped` (samples of the result) and `reached`, whether the loudness
    is the wanted one.
    """
    with WorkingFile(Path(request["source"]), request["samples"], request["channels"], request["rate"], tell) as sound:
        before = sound.loudness()
        sound.clean(Path(request["folder"]), request["attenuation_limit_db"])
        now = sound.loudness()
        target = Path(request["target"])
        if now is None or not request["normalize"]:
            after, clipped = sound.write(target, 0.0, None)
            return {"before": before, "after": after, "clipped": clipped, "reached": True}
        wanted, gain, after, slope = request["loudness"], 0.0, now, 1.0
        for _ in range(ATTEMPTS):
            step = float(np.clip((wanted - after) / slope, -LARGEST_STEP, LARGEST_STEP)) if gain else wanted - after
            found, clipped = sound.write(target, gain + step, Limiter(request["rate"]))
            louder = (now if found is None else found) - after
            gain, after = gain + step, after + louder
            if abs(after - wanted) <= CLOSE_ENOUGH or not step:
                break
            slope = float(np.clip(louder / step, FLATTEST, 1.0))  # what a dB of gain brings in the limiter
    return {"before": before, "after": after, "clipped": clipped, "reached": abs(after - wanted) <= TOLERANCE}


class WorkingFile:
    """A file of interleaved 32-bit floats that is read in blocks, and replaced by its clean sound."""

    def __init__(self, path: Path, samples: int, channels: int, rate: int, tell: Say) -> None:
        self._file = path.open("r+b", buffering=0)
        self._samples, self._channels, self._rate = samples, channels, rate
        self._block = max(1, round(BLOCK_S * rate))
        self._tell, self._due = tell, 0.0

    def __enter__(self) -> WorkingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, start: int, stop: int) -> Samples:
        """Return samples `start` to `stop`, shape (n, channels); silence where numbers are not finite."""
        size = 4 * self._channels
        self._file.seek(start * size)
        raw = np.frombuffer(self._file.read(max(0, stop - start) * size), "<f4").reshape(-1, self._channels)
        samples: Samples = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
        return samples

    def loudness(self) -> float | None:
        meter = LoudnessMeter(self._rate, self._channels, self._samples)
        for start in self._starts("checking"):
            meter.push(self.read(start, min(start + self._block, self._samples)))
        return meter.loudness()

    def clean(self, folder: Path, attenuation_limit_db: float) -> None:
        """Replace the sound by one without noise."""
        channels = [CleanChannel(folder, self._rate, attenuation_limit_db) for _ in range(self._channels)]
        written = 0
        for start in self._starts("enhancing"):
            block = self.read(start, min(start + self._block, self._samples))
            made = np.stack([one.push(block[:, i]) for i, one in enumerate(channels)], axis=1)
            written = self._replace(written, made)  # what is written lies behind what was read
        self._replace(written, np.stack([one.finish(self._samples) for one in channels], axis=1))

    def _replace(self, start: int, samples: Samples) -> int:
        size = 4 * self._channels
        self._file.seek(start * size)
        data = memoryview(samples[: self._samples - start].astype("<f4").tobytes())
        while data:
            data = data[self._file.write(data) :]
        return start + len(samples)

    def write(self, target: Path, gain_db: float, limiter: Limiter | None) -> tuple[float | None, int]:
        """Write the sound to a WAV file; return its loudness, and how many of its samples were clipped."""
        gain, context, clipped = 10 ** (gain_db / 20), limiter.context if limiter else 0, 0
        meter = LoudnessMeter(self._rate, self._channels, self._samples)
        with wave.open(str(target), "wb") as file:
            file.setparams((self._channels, 2, self._rate, self._samples, "NONE", ""))
            for start in self._starts("writing"):
                stop = min(start + self._block, self._samples)
                first, last = max(0, start - context), min(self._samples, stop + context)
                block = self.read(first, last) * np.float32(gain)
                block = (limiter.limit(block) if limiter else block)[start - first : stop - first]
                whole = np.rint(block * FULL)
                clipped += int(np.count_nonzero((whole > FULL - 1) | (whole < -FULL)))
                whole = np.clip(whole, -FULL, FULL - 1)
                meter.push((whole / FULL).astype(np.float32))
                file.writeframesraw(whole.astype("<i2").tobytes())
        return meter.loudness(), clipped

    def _starts(self, stage: str) -> Iterator[int]:
        """Yield where blocks begin, and tell progress."""
        for start in range(0, self._samples, self._block):
            if time.monotonic() >= self._due:
                self._tell({"stage": stage, "fraction": start / self._samples})
                self._due = time.monotonic() + REPORT_EVERY
            yield start


class CleanChannel:
    """One channel on its way through the filter, which works at 48 kHz, and back to its own rate."""

    def __init__(self, folder: Path, rate: int, attenuation_limit_db: float) -> None:
        self._rate = rate
        self._up, self._down = BlockResampler(rate, RATE), BlockResampler(RATE, rate)
        self._filter = DeepFilter(folder, attenuation_limit_db)
        self._plain = attenuation_limit_db <= 0  # nothing is to be removed
        self._made = 0

    def push(self, samples: Samples) -> Samples:
        made = samples if self._plain else self._down.push(self._filter.push(self._up.push(samples)))
        self._made += len(made)
        return made

    def finish(self, total: int) -> Samples:
        """Return the rest of `total` samples."""
        missing = total - self._made
        if self._plain or missing <= 0:
            return np.zeros((max(0, missing),), np.float32)
        rest = self._filter.push(self._up.finish(-(-total * RATE // self._rate)))
        made = [self._down.push(rest), self._down.push(self._filter.finish())]
        made.append(self._down.finish(total))
        return np.concatenate(made)[:missing]


if __name__ == "__main__":
    main()
