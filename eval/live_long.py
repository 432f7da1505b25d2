"""Does a long live session stay complete, on time and small?

    python eval/live_long.py MODEL [--minutes 45]

Repeats RECORDINGS of STT_LAB_SPEECH_DIR, which have times of words, until they make so many minutes, and streams them
as fast as it goes. Prints the memory of this process and of its children every five minutes of sound, and after each
repetition the word error rate and how far the times of equal words are from the reference.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import psutil

from stt_lab.engines.turns import turn_end
from stt_lab.metrics import wer
from stt_lab.pipeline import choose_models
from stt_lab.runtime import private_runtime
from stt_lab.settings import get_settings
from stt_lab.streaming.events import Final
from stt_lab.streaming.guards import bare
from stt_lab.streaming.live import PIECE, LiveStream
from stt_lab.types import SAMPLE_RATE, Word, silent

RECORDINGS = "long_lj001_one_reader.mp3", "conv_dev_2spk.flac", "long_dev_5readers.mp3"
SHOWN_S = 300.0


def memory() -> str:
    """Return the memory of this process and of its children in MB."""
    own = psutil.Process()
    return ", ".join(f"{one.memory_info().rss / 1e6:.0f}" for one in [own, *own.children(recursive=True)])


def report(name: str, reference: list[Word], found: list[Word]) -> None:
    """Print the errors of one repetition, and how far off its words are."""
    truth, said = (" ".join(word.text.strip() for word in words) for words in (reference, found))
    errors = wer([truth], [said], "whisper_en")
    plain = ([bare(word) for word in words] for words in (reference, found))
    off = [
        abs(reference[same.a + at].end - found[same.b + at].end)
        for same in SequenceMatcher(None, *plain, autojunk=False).get_matching_blocks()
        for at in range(same.size)
    ]
    late = f"{np.median(off):.2f} s, 95 % under {np.percentile(off, 95):.2f}" if off else "none equal"
    print(f"{name}: WER {100 * errors.rate:.1f} % of {errors.words}; ends of words off by {late}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=45.0)
    chosen = parser.parse_args()
    runtime = private_runtime(get_settings())
    folder = Path(runtime.settings.speech_dir or "") / "assembled"
    model = choose_models(runtime.pool, chosen.model, "en", diarize=False).transcriber
    with tempfile.TemporaryDirectory() as scratch:
        stream = LiveStream(
            runtime.pool, model, "en", Path(scratch) / "sound.pcm", silent, turns=turn_end(runtime.settings)
        )
        found, shown, number = list[Word](), 0.0, 0
        while stream.duration < chosen.minutes * 60:
            path = folder / RECORDINGS[number % len(RECORDINGS)]
            number, began = number + 1, stream.duration
            with runtime.decoder.decode(path) as audio:
                sound = np.concatenate([audio.read(), np.zeros(2 * SAMPLE_RATE, np.float32)])
            for at in range(0, len(sound), PIECE):
                found += [w for one in stream.push(sound[at : at + PIECE]) if isinstance(one, Final) for w in one.words]
                if stream.duration >= shown:
                    print(f"{stream.duration / 60:.0f} min: {memory()} MB", flush=True)
                    shown += SHOWN_S
            rows = json.loads(path.with_suffix(".words.json").read_text("utf-8"))
            reference = [Word(began + row["start"], began + row["end"], row["word"]) for row in rows]
            report(f"{number} {path.stem}", reference, found)
            found = []
        left = [word for one in stream.finish() if isinstance(one, Final) for word in one.words]
        print(f"{stream.duration / 60:.0f} min: {memory()} MB; {len(left)} words after the end")


if __name__ == "__main__":
    main()
