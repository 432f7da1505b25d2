"""Is every word that was spoken written, or shown as speech that was not understood? Beside bare faster-whisper.

    python eval/every_word.py [--model base] [--only assembled/]

One run over the recordings of STT_LAB_SPEECH_DIR with the same weights, language given: ours with speakers, and bare
faster-whisper with VAD. Prints and writes to results/every_word.json: words deleted (those spoken alone and those in
overlap apart, where word times are known), inserted and wrong, WER paired by recording, words where nobody speaks
(also on 30 made clips), speech without words or a mark, and how much marks cover. Chinese, Japanese and Thai are
counted in characters.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from quality import MISLABELLED, normaliser
from service import RESULTS, recordings

from stt_lab import metrics
from stt_lab.errors import UnsupportedMedia
from stt_lab.lab.noise.sound import write_wav
from stt_lab.pipeline import choose_models, listen
from stt_lab.runtime import Runtime, private_runtime
from stt_lab.settings import get_settings
from stt_lab.transcription.second_look import minus, union
from stt_lab.types import SAMPLE_RATE, Span, Transcript, Word, silent

if TYPE_CHECKING:
    from stt_lab.types import Samples

BARE = {"beam_size": 5, "vad_filter": True, "word_timestamps": True}
GROUPS = {"assembled and video": ("assembled/", "video/"), "AMI": ("ami_",)}
LONGEST_BARE = 1.0  # seconds of speech that may have neither words nor a mark
JOINED = 0.15  # seconds around a reference word in which somebody speaks too
MADE = 30  # clips without speech


@dataclass(frozen=True)
class Reference:
    text: str
    language: str
    words: tuple[Word, ...] = ()
    speech: tuple[Span, ...] = ()


@dataclass
class Side:
    """What one system wrote."""

    errors: list[metrics.WordErrors] = field(default_factory=list)
    deleted: dict[str, list[int]] = field(default_factory=lambda: {"alone": [0, 0], "overlap": [0, 0]})  # of how many
    invented: dict[str, str] = field(default_factory=dict)  # by clip without speech

    def score(self, reference: Reference, words: Sequence[Word]) -> metrics.WordErrors:
        text, how = "".join(word.text for word in words), normaliser(reference.language)
        count = metrics.cer if reference.language in ("zh", "ja", "th") else metrics.wer
        self.errors.append(count([reference.text], [text], how))
        if reference.words:
            apart = {id(word) for word in reference.words if _alone(word, reference.words)}
            for step in metrics.align_words(reference.words, words, how):
                if step.reference is not None:
                    counts = self.deleted["alone" if id(step.reference) in apart else "overlap"]
                    counts[0] += step.op == "delete"
                    counts[1] += 1
        return self.errors[-1]


def _alone(word: Word, others: Sequence[Word]) -> bool:
    return not any(other.speaker != word.speaker and other.overlap(word) > 0 for other in others)


def reference(speech: Path, row: dict[str, Any]) -> Reference:
    def read(name: str) -> Any:
        return json.loads((speech / row[name]).read_text("utf-8")) if row.get(name) else []

    words = tuple(Word(w["start"], w["end"], f" {w['word']}", None, w.get("speaker")) for w in read("word_times"))
    spoken = union(Span(max(0.0, word.start - JOINED), word.end + JOINED) for word in words)
    return Reference(row["text"], row.get("language", "en"), words, tuple(spoken))


# Clips without speech


def made_clips(folder: Path) -> Iterator[Path]:
    """Write clips in which nobody speaks: noises, hum, clicks, keys and music, loud and quiet."""
    kinds = (_noise, _hum, _clicks, _keys, _music)
    for number in range(MADE):
        chance = np.random.default_rng(number)
        sound = kinds[number % len(kinds)](chance, int(chance.uniform(4, 20) * SAMPLE_RATE))
        path = folder / f"{kinds[number % len(kinds)].__name__[1:]}_{number:02}.wav"
        write_wav(path, (sound / np.abs(sound).max() * chance.choice((0.02, 0.1, 0.5, 0.9))).astype(np.float32))
        yield path


def _noise(chance: np.random.Generator, samples: int) -> Samples:
    spectrum = np.fft.rfft(chance.standard_normal(samples))
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 20)
    return np.fft.irfft(spectrum / frequency ** chance.choice((0.0, 0.5, 1.0)), samples)  # white, pink, brown


def _hum(chance: np.random.Generator, samples: int) -> Samples:
    time = np.arange(samples) / SAMPLE_RATE
    mains = chance.choice((50, 60, 100, 120))
    tones = sum(np.sin(2 * np.pi * mains * part * time) / part for part in range(1, 8))
    return tones + 0.02 * chance.standard_normal(samples)


def _clicks(chance: np.random.Generator, samples: int) -> Samples:
    sound = 0.002 * chance.standard_normal(samples)
    sound[chance.integers(0, samples, samples // 8000)] = chance.choice((-1.0, 1.0))
    return sound


def _keys(chance: np.random.Generator, samples: int) -> Samples:
    sound = 0.003 * chance.standard_normal(samples)
    length = SAMPLE_RATE // 25
    for start in np.cumsum(chance.uniform(0.08, 0.4, samples // 2000) * SAMPLE_RATE).astype(int):
        if start + length < samples:
            burst = chance.standard_normal(length) * np.exp(-np.arange(length) / chance.uniform(60, 200))
            sound[start : start + length] += burst * chance.uniform(0.3, 1)
    return sound


def _music(chance: np.random.Generator, samples: int) -> Samples:
    """Chords of plucked strings over a beat."""
    sound, beat = np.zeros(samples), int(SAMPLE_RATE * chance.uniform(0.25, 0.6))
    time = np.arange(beat * 4) / SAMPLE_RATE
    for start in range(0, samples, beat):
        root = 110 * 2 ** (chance.integers(0, 24) / 12)
        for step in (0, 4, 7):
            tone = root * 2 ** (step / 12)
            note = sum(np.sin(2 * np.pi * tone * part * time) / part**1.5 for part in range(1, 6)) * np.exp(-3 * time)
            sound[start : start + len(note)] += note[: samples - start]
    return sound


# Both sides


def ours(runtime: Runtime, path: Path, language: str | None, model: str) -> Transcript:
    models = choose_models(runtime.pool, model, language or "auto", diarize=True)
    with runtime.decoder.decode(path) as audio:
        return listen(runtime.pool, audio, models, 0, silent)


def bare(model: Any, path: Path, language: str | None) -> list[Word]:
    segments, _ = model.transcribe(str(path), language=language, **BARE)
    return [Word(w.start, max(w.start, w.end), w.word, w.probability) for s in segments for w in s.words]


def plain(words: Iterable[Word]) -> str:
    return "".join(word.text for word in words).strip()


@dataclass
class Marks:
    """Seconds of marks beside speech with words and beside silence, and speech with neither words nor a mark."""

    worded: list[float] = field(default_factory=lambda: [0.0, 0.0])  # under a mark, of how much
    silence: list[float] = field(default_factory=lambda: [0.0, 0.0])
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, made: Transcript, spoken: Sequence[Span]) -> None:
        marks, words = union(made.unrecognized), union(word for one in made.segments for word in one.words)
        said = [part for span in words for part in _common(span, spoken)]
        quiet = minus(Span(0.0, made.duration), spoken)
        for counts, spans in ((self.worded, said), (self.silence, quiet)):
            counts[0] += sum(part.duration for span in spans for part in _common(span, marks))
            counts[1] += sum(span.duration for span in spans)
        for span in spoken:
            left = (part for part in minus(span, union((*words, *marks))) if part.duration >= LONGEST_BARE)
            self.missing += [f"{name} {part.start:.1f}-{part.end:.1f}" for part in left]


def _common(span: Span, others: Sequence[Span]) -> list[Span]:
    shared = ((max(span.start, other.start), min(span.end, other.end)) for other in others)
    return [Span(start, end) for start, end in shared if start < end]


def measure(model: str, only: str) -> dict[str, Any]:
    from faster_whisper import WhisperModel

    settings = get_settings()
    speech, runtime = settings.speech_dir, private_runtime(settings)
    plain_model = WhisperModel(
        str(settings.models_dir / model), device="cpu", compute_type="int8", cpu_threads=settings.threads
    )
    sides = {group: (Side(), Side()) for group in (*GROUPS, "others")}
    marks = Marks()
    rows = [row for row in recordings(settings) if row["path"].startswith(only) and row.get("text") is not None]
    for row in rows:
        expected = reference(speech, row)
        path, language = speech / row["path"], expected.language if expected.text else None
        try:
            made = ours(runtime, path, language, model)
        except UnsupportedMedia:  # a film without sound
            continue
        theirs = bare(plain_model, path, language)
        words = [word for segment in made.segments for word in segment.words]
        first, second = sides[next((name for name, of in GROUPS.items() if row["path"].startswith(of)), "others")]
        if not expected.text:
            if row["id"] != MISLABELLED:
                first.invented[row["id"]], second.invented[row["id"]] = plain(words), plain(theirs)
            continue
        print(row["path"], first.score(expected, words), second.score(expected, theirs), flush=True)
        if row["path"].startswith("assembled/"):
            marks.add(row["path"], made, expected.speech)
    with tempfile.TemporaryDirectory() as folder:
        for path in made_clips(Path(folder)) if not only else ():
            made = ours(runtime, path, None, model)
            sides["others"][0].invented[path.stem] = plain(word for one in made.segments for word in one.words)
            sides["others"][1].invented[path.stem] = plain(bare(plain_model, path, None))
    return {"model": model, **_summary(sides), "marks": vars(marks)}


def _summary(sides: dict[str, tuple[Side, Side]]) -> dict[str, Any]:
    table = {}
    for group, both in sides.items():
        for name, side in zip(("stt_lab", "bare"), both, strict=True):
            total = sum(side.errors, metrics.WordErrors())
            counts = {"substituted": total.substitutions, "deleted": total.deletions, "inserted": total.insertions}
            table[f"{group}: {name}"] = counts | {"words": total.words, "deleted_of": side.deleted}
    errors = [[error for both in sides.values() for error in both[number].errors] for number in (0, 1)]
    compared = metrics.compare(*errors, seed=0)
    invented = {
        name: {clip: text for both in sides.values() for clip, text in both[number].invented.items() if text}
        for number, name in enumerate(("stt_lab", "bare"))
    }
    clips = sum(len(both[0].invented) for both in sides.values())
    wer = {"verdict": compared.verdict("stt_lab", "bare"), **vars(compared)}
    return {"errors": table, "wer": wer, "clips_without_speech": clips, "invented": invented}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--only", default="", help="the beginning of the paths of the recordings")
    options = parser.parse_args()
    result = json.dumps(measure(options.model, options.only), indent=1, ensure_ascii=False)
    if not options.only:
        (RESULTS / "every_word.json").write_text(result + "\n", "utf-8")
    print(result)


if __name__ == "__main__":
    main()
