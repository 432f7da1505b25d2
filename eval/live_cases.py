"""Does a live session cut pauses inside sentences, and hear words in silence, noise and music?

    python eval/live_cases.py MODEL

Takes recordings of STT_LAB_SPEECH_DIR, as fast as it goes:

* silence: SILENCE_S of it, then a speech; its words, and how far their times are from those of the speech alone;
* pauses: a reader, with silence of each length put between two words that have no punctuation between them; how many
  of these pauses ended a final;
* noise and music: how many words were heard in each recording that has none.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_lab.engines.turns import turn_end
from stt_lab.pipeline import choose_models
from stt_lab.runtime import Runtime, private_runtime
from stt_lab.settings import get_settings
from stt_lab.streaming.events import Final
from stt_lab.streaming.live import PIECE, LiveStream
from stt_lab.types import SAMPLE_RATE, Word, silent

if TYPE_CHECKING:
    from stt_lab.types import Samples

SILENCE_S = 600  # seconds
PAUSES = (0.2, 0.4, 0.6, 0.8, 1.0)  # seconds
READER, READER_S = "assembled/long_lj001_one_reader.mp3", 100.0
EVERY = 12  # words between two pauses
ROOM = 1e-4  # level of the silence


class Cases:
    """Live sessions with one model."""

    def __init__(self, runtime: Runtime, model: str) -> None:
        self.runtime = runtime
        self.model = choose_models(runtime.pool, model, "en", diarize=False).transcriber
        self.turns = turn_end(runtime.settings)
        self._random = np.random.default_rng(0)

    def sound(self, path: Path) -> Samples:
        with self.runtime.decoder.decode(path) as audio:
            return audio.read()

    def room(self, seconds: float) -> Samples:
        return self._random.normal(0, ROOM, int(seconds * SAMPLE_RATE)).astype(np.float32)

    def finals(self, sound: Samples) -> Iterator[Final]:
        with tempfile.TemporaryDirectory() as folder:
            stream = LiveStream(
                self.runtime.pool, self.model, "en", Path(folder) / "sound.pcm", silent, turns=self.turns
            )
            for at in range(0, len(sound), PIECE):
                yield from (event for event in stream.push(sound[at : at + PIECE]) if isinstance(event, Final))
            yield from (event for event in stream.finish() if isinstance(event, Final))

    def words(self, sound: Samples) -> list[Word]:
        return [word for final in self.finals(sound) for word in final.words]

    def silence(self, path: Path) -> str:
        speech = self.sound(path)
        alone, late = self.words(speech), self.words(np.concatenate([self.room(SILENCE_S), speech]))
        same = [word.text for word in alone] == [word.text for word in late]
        ends = [abs(after.end - SILENCE_S - before.end) for before, after in zip(alone, late, strict=False)]
        return f"{len(late)} words, the same as alone: {same}; times differ by up to {max(ends, default=0):.2f} s"

    def pauses(self, path: Path, seconds: float) -> str:
        spoken = json.loads(path.with_suffix(".words.json").read_text("utf-8"))
        places = [
            (one["end"] + other["start"]) / 2
            for at, (one, other) in enumerate(pairwise(spoken))
            if at % EVERY == EVERY - 1
            and one["end"] < READER_S
            and one["word"][-1].isalnum()
            and other["start"] - one["end"] < 0.1
        ]
        sound, parts, begins, at = self.sound(path)[: int(READER_S * SAMPLE_RATE)], list[Any](), list[float](), 0
        for place in places:
            stop = int(place * SAMPLE_RATE)
            parts += [sound[at:stop], self.room(seconds)]
            begins.append(sum(map(len, parts)) / SAMPLE_RATE - seconds)
            at = stop
        finals = list(self.finals(np.concatenate([*parts, sound[at:]])))
        cut = sum(any(begin - 0.3 <= final.end <= begin + seconds for final in finals) for begin in begins)
        return f"{cut} of {len(places)} ended a final ({len(finals)} finals)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    cases = Cases(private_runtime(get_settings()), parser.parse_args().model)
    speech = cases.runtime.settings.speech_dir
    print(f"silence of {SILENCE_S} s: {cases.silence(next(speech.glob('jfk/*.flac')))}", flush=True)
    for seconds in PAUSES:
        print(f"pauses of {seconds} s: {cases.pauses(speech / READER, seconds)}", flush=True)
    rows = [json.loads(line) for line in (speech / "manifest.jsonl").read_text("utf-8").splitlines()]
    for row in rows:
        if row["path"].startswith("music_noise/"):
            words = cases.words(cases.sound(speech / row["path"]))
            print(f"{row['id']}: {len(words)} words {' '.join(word.text.strip() for word in words)[:80]!r}", flush=True)


if __name__ == "__main__":
    main()
