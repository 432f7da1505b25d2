"""What does a live session lose against a file, how late is it, and how much work is it?

    python eval/live.py MODEL [--speed real|max] RECORDING...

Feeds recordings of English to a session (stt_lab.streaming), at the speed of speech or as fast as it takes them, and
prints for each: errors of the finals and of file mode with the same model (against RECORDING.words.json, or file mode
where there is none), work per second of sound, and for `real` the time from the end of a last word to its final.
`changed` counts shown words of partials that were replaced or taken back.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stt_lab.metrics import WordErrors, wer
from stt_lab.pipeline import choose_models, listen
from stt_lab.runtime import Runtime, private_runtime
from stt_lab.settings import get_settings
from stt_lab.streaming.events import Final, LiveEvent
from stt_lab.streaming.live import PIECE, LiveStream
from stt_lab.types import SAMPLE_RATE, silent

if TYPE_CHECKING:
    from stt_lab.types import Samples

POLL_S = 0.02


@dataclass
class Measured:
    """What was seen of one stream, or of several."""

    live: WordErrors = field(default_factory=WordErrors)
    file: WordErrors = field(default_factory=WordErrors)
    late: list[float] = field(default_factory=list)  # seconds from the end of the last word to its final, in pauses
    shown: int = 0
    changed: int = 0

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.live + other.live,
            self.file + other.file,
            self.late + other.late,
            self.shown + other.shown,
            self.changed + other.changed,
        )


def pieces(sound: Samples, real: bool) -> Iterator[Samples]:
    """Yield the sound as it comes."""
    at, began = 0, time.monotonic()
    while at < len(sound):
        come = int((time.monotonic() - began) * SAMPLE_RATE) if real else at + PIECE
        if real and come - at < PIECE and come < len(sound):
            time.sleep(POLL_S)
            continue
        yield sound[at:come]
        at = min(come, len(sound))


def measure(runtime: Runtime, model: str, path: Path, real: bool, folder: Path) -> Measured:
    seen, words, before = Measured(), list[str](), list[str]()
    with runtime.decoder.decode(path) as audio:
        models = choose_models(runtime.pool, model, "en", diarize=False)
        whole = listen(runtime.pool, audio, models, 0, silent).text
        stream = LiveStream(runtime.pool, models.transcriber, "en", folder / "sound.pcm", silent)
        began = time.monotonic()

        def take(events: Iterable[LiveEvent]) -> None:
            for event in events:
                if isinstance(event, Final):
                    words.append(event.text)
                    before.clear()
                    if real and stream.session.idle:
                        seen.late.append(time.monotonic() - began - event.end)
                elif event.text:
                    now = event.text.split()
                    seen.shown += max(0, len(now) - len(before))
                    same = sum(one == other for one, other in zip(before, now, strict=False))
                    seen.changed += len(before) - same
                    before[:] = now

        for piece in pieces(audio.read(), real):
            take(stream.push(piece))
        take(stream.finish())
        times = path.with_suffix(".words.json")
        truth = " ".join(word["word"] for word in json.loads(times.read_text("utf-8"))) if times.exists() else whole
        seen.live = wer([truth], [" ".join(words)], "whisper_en")
        seen.file = wer([truth], [whole], "whisper_en")
        work = stream.worked_s / audio.duration
    print(f"{path.name}: {stream.steps} steps, {stream.skipped} skipped, work {work:.2f}; {line(seen)}", flush=True)
    return seen


def line(seen: Measured) -> str:
    late = ""
    if seen.late:
        middle, most = np.percentile(seen.late, [50, 95])
        late = f"; end to final {middle:.2f} s, p95 {most:.2f} s ({len(seen.late)})"
    return (
        f"WER live {100 * seen.live.rate:.1f} %, file {100 * seen.file.rate:.1f} % of {seen.live.words} words; "
        f"changed {seen.changed} of {seen.shown} shown words{late}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--speed", choices=("real", "max"), default="max")
    parser.add_argument("recordings", nargs="+", type=Path)
    chosen = parser.parse_args()
    runtime, all_seen = private_runtime(get_settings()), Measured()
    with tempfile.TemporaryDirectory() as folder:
        for path in chosen.recordings:
            all_seen += measure(runtime, chosen.model, path, chosen.speed == "real", Path(folder))
    print(f"all: {line(all_seen)}")


if __name__ == "__main__":
    main()
