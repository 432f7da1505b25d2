"""What does a live session lose against a file, how late is it, and how much work is it?

    python eval/live.py MODEL [--speed real|max] RECORDING...

Feeds recordings of English to a session (stt_lab.streaming), at the speed of speech or as fast as it takes them, and
prints for each: errors of the finals and of file mode with the same model (against RECORDING.words.json, or file mode
where there is none), work per second of sound, and for `real` the time from the end of a last word to its final. The
last line has the difference of the error rates and its 95 % interval over blocks of BLOCK words.

`changed` counts words of partials that a reader sees replaced or taken back by the next partial, also where only case
or punctuation differs; `of these in letters` leaves those out. What a final changes is not counted. `word shown` is the
sound that passes from the end of a word to the first text that has as many words, on average. `edges lost` are first
and last words of the utterances in RECORDING.segments.json that file mode has and the finals have not.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stt_lab.engines.turns import turn_end
from stt_lab.metrics import WordErrors, wer
from stt_lab.metrics.intervals import compare
from stt_lab.metrics.words import align
from stt_lab.pipeline import choose_models, listen
from stt_lab.runtime import Runtime, private_runtime
from stt_lab.settings import get_settings
from stt_lab.streaming.events import Final, LiveEvent
from stt_lab.streaming.live import LiveStream
from stt_lab.streaming.stream import sound_of
from stt_lab.text import normalise
from stt_lab.types import silent

BLOCK = 25  # words of the reference, for the interval


@dataclass
class Measured:
    """What was seen of one stream, or of several."""

    live: WordErrors = field(default_factory=WordErrors)
    file: WordErrors = field(default_factory=WordErrors)
    late: list[float] = field(default_factory=list)  # seconds from the end of the last word to its final, in pauses
    shown: int = 0
    changed: int = 0
    in_letters: int = 0  # of those, with another word than before, and not only case and punctuation
    delays: list[float] = field(default_factory=list)  # seconds of sound from the end of a word to its first show
    lost: int = 0  # first and last words of utterances that file mode has, and live has not
    edges: int = 0  # first and last words of utterances that file mode has
    blocks: list[tuple[WordErrors, WordErrors]] = field(default_factory=list)  # of live and file

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.live + other.live,
            self.file + other.file,
            self.late + other.late,
            self.shown + other.shown,
            self.changed + other.changed,
            self.in_letters + other.in_letters,
            self.delays + other.delays,
            self.lost + other.lost,
            self.edges + other.edges,
            self.blocks + other.blocks,
        )


def measure(runtime: Runtime, model: str, path: Path, real: bool, folder: Path) -> Measured:
    seen, words, before, shown_at = Measured(), list[str](), list[str](), list[float]()
    with runtime.decoder.decode(path) as audio:
        models = choose_models(runtime.pool, model, "en", diarize=False)
        whole = listen(runtime.pool, audio, models, 0, silent).text
        turns = turn_end(runtime.settings)
        stream = LiveStream(runtime.pool, models.transcriber, "en", folder / "sound.pcm", silent, turns=turns)
        began = time.monotonic()

        def take(events: Iterable[LiveEvent]) -> None:
            for event in events:
                if isinstance(event, Final):
                    words.append(event.text)
                    before.clear()
                    now_s = stream.session.now
                    times = shown_at[: len(event.words)] + [now_s] * (len(event.words) - len(shown_at))
                    seen.delays += [at - word.end for at, word in zip(times, event.words, strict=True)]
                    shown_at.clear()
                    if real and stream.session.idle:
                        seen.late.append(time.monotonic() - began - event.end)
                elif event.text:
                    now = event.text.split()
                    seen.shown += max(0, len(now) - len(before))
                    same = sum(one == other for one, other in zip(before, now, strict=False))
                    seen.changed += len(before) - same
                    plain = [[re.sub(r"\W", "", word).casefold() for word in side] for side in (before, now)]
                    seen.in_letters += len(before) - sum(one == other for one, other in zip(*plain, strict=False))
                    shown_at.extend([stream.session.now] * (len(now) - len(shown_at)))
                    before[:] = now

        for piece in sound_of(audio, real):
            take(stream.push(piece))
        take(stream.finish())
        times = path.with_suffix(".words.json")
        truth = " ".join(word["word"] for word in json.loads(times.read_text("utf-8"))) if times.exists() else whole
        seen.live = wer([truth], [" ".join(words)], "whisper_en")
        seen.file = wer([truth], [whole], "whisper_en")
        seen.blocks = list(zip(*(blocks(truth, text) for text in (" ".join(words), whole)), strict=True))
        if path.with_suffix(".segments.json").exists():
            seen.edges, seen.lost = edges(path.with_suffix(".segments.json"), truth, whole, " ".join(words))
        work = stream.worked_s / audio.duration
    print(f"{path.name}: {stream.steps} steps, {stream.skipped} skipped, work {work:.2f}; {line(seen)}", flush=True)
    return seen


def edges(utterances: Path, truth: str, whole: str, live: str) -> tuple[int, int]:
    """Count first and last words of utterances that file mode has, and those of them that live has not at all."""
    places, at = set[int](), 0
    for utterance in json.loads(utterances.read_text("utf-8")):
        count = len(normalise(utterance["text"], "whisper_en").split())
        places |= {at, at + count - 1}
        at += count
    ours, file = ([step for step in align(truth, text, "whisper_en") if step.op != "insert"] for text in (live, whole))
    known = [ours[place] for place in sorted(places) if place < len(file) and file[place].op == "equal"]
    return len(known), sum(step.op == "delete" for step in known)


def blocks(reference: str, hypothesis: str) -> list[WordErrors]:
    """Count the errors in each BLOCK words of a reference."""
    made, place = [WordErrors()], 0
    for step in align(reference, hypothesis, "whisper_en"):
        place += step.op != "insert"
        if step.op != "insert" and place > BLOCK:
            made, place = [*made, WordErrors()], 1
        counts = [step.op == op for op in ("substitute", "delete", "insert")]
        made[-1] += WordErrors(*counts, step.op != "insert")
    return made


def line(seen: Measured) -> str:
    late = ""
    if seen.late:
        middle, most = np.percentile(seen.late, [50, 95])
        late = f"; end to final {middle:.2f} s, p95 {most:.2f} s ({len(seen.late)})"
    return (
        f"WER live {100 * seen.live.rate:.1f} %, file {100 * seen.file.rate:.1f} % of {seen.live.words} words; "
        f"changed {seen.changed} (of these in letters {seen.in_letters}) of {seen.shown} shown words; "
        f"edges lost {seen.lost} of {seen.edges}; word shown after {np.mean(seen.delays or [0.0]):.2f} s{late}"
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
    live, file = zip(*all_seen.blocks, strict=True)
    found = compare(live, file, seed=0)
    print(f"live - file: {100 * found.difference:+.2f} points ({100 * found.low:+.2f} to {100 * found.high:+.2f})")


if __name__ == "__main__":
    main()
