"""Make data/speech: speech with references that packages ship, and sound in which nobody speaks.

    python data/make.py [FOLDER]

Each source fills a folder of its own and adds its rows to manifest.jsonl; one that cannot be had is left out with a
message, and the next run tries it again. What is there is not made again.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

RATE = 16_000  # Hz, of what is generated or decoded here
Row = dict[str, Any]


class Missing(Exception):
    """A source that cannot be had on this machine, with the reason."""


def row(path: Path, text: str, language: str | None, kind: str, **more: Any) -> Row:
    """A line of the manifest for a WAV file; `path` becomes relative to the set when it is written."""
    with wave.open(str(path)) as file:
        duration = round(file.getnframes() / file.getframerate(), 3)
        shape = {"duration_s": duration, "sample_rate": file.getframerate(), "channels": file.getnchannels()}
    return {"path": path.name, **shape, "language": language, "text": text, "kind": kind, **more}


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Samples, int16 of shape (n,), as a mono WAV file at RATE."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def run(*command: str | Path, **how: Any) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, **how)
    except FileNotFoundError:
        raise Missing(f"{command[0]} is not on this machine") from None
    except subprocess.TimeoutExpired:
        raise Missing(f"{Path(command[0]).name} took more than two minutes") from None
    except subprocess.CalledProcessError as problem:
        said = problem.stderr.strip().splitlines() or ["no message"]
        reason = next((line for line in said if line.lower().startswith("e")), said[-1])  # ERROR: of pip, E: of apt
        raise Missing(f"{Path(command[0]).name} failed: {reason}") from None


# A telephone conversation of 30 s, in the wheel of pyannote.audio


def conversation(folder: Path, work: Path) -> Iterator[Row]:
    spec = importlib.util.find_spec("pyannote.audio")  # found without importing it, and torch
    if spec is None or spec.origin is None:
        raise Missing("pyannote.audio is not installed")
    sample = Path(spec.origin).parent / "sample"
    for name in ("sample.wav", "sample.rttm"):
        shutil.copyfile(sample / name, folder / name)
    parts = [line.split(maxsplit=5) for line in (sample / "sample.stm").read_text("utf-8").splitlines() if line]
    segments = [{"start": float(p[3]), "end": float(p[4]), "speaker": p[2], "text": p[5].strip()} for p in parts]
    (folder / "sample.segments.json").write_text(json.dumps(segments, indent=1), "utf-8")
    yield row(
        folder / "sample.wav",
        " ".join(str(segment["text"]) for segment in segments),
        "en",
        "multi-speaker",
        speakers=sorted({part[2] for part in parts}),
        rttm="sample.rttm",
        segments="sample.segments.json",
        licence="MIT (as part of the package)",
        source="PyPI pyannote.audio, pyannote/audio/sample",
    )


# Prompts of a telephone exchange in five languages, in Debian's packages

SPEAKERS = {
    "en": "Allison Smith",
    "es": "Allison Smith",
    "fr": "June Wallack",
    "it": "Carlo Flora",
    "ru": "ivrvoice.ru",
}
PER_LANGUAGE = {"en": 10, "es": 5, "fr": 5, "it": 5, "ru": 5}
LONG_ENOUGH = (3.0, 9.0)  # seconds
G722_BYTES = 8000  # a second


def prompts(folder: Path, work: Path) -> Iterator[Row]:
    names = [f"asterisk-core-sounds-{code}{kind}" for code in SPEAKERS for kind in ("", "-g722")]
    download_debs(names, work)
    for package in sorted(work.glob("*.deb")):
        run("dpkg-deb", "-x", package, work / "root")
    for code, speaker in SPEAKERS.items():
        licence = "CC BY 3.0" if code in ("it", "ru") else "CC BY-SA 3.0"
        for source, text in chosen(work / "root", code):
            target = folder / f"{code}_{source.stem}.wav"
            write_wav(target, decode_g722(source))
            origin = f"Debian asterisk-core-sounds-{code}-g722"
            yield row(target, text, code, "utterance", speakers=[speaker], licence=licence, source=origin)


def download_debs(names: list[str], work: Path) -> None:
    """apt-get checks the archive's signatures; without lists of packages it gets them into a folder of its own."""
    try:
        run("apt-get", "download", *names, cwd=work)
    except Missing:
        own = [f"-oDir::State::Lists={work / 'lists'}", f"-oDir::Cache={work / 'cache'}"]
        for part in ("lists/partial", "cache/archives/partial"):
            (work / part).mkdir(parents=True)
        run("apt-get", *own, "update")
        run("apt-get", *own, "download", *names, cwd=work)


def chosen(root: Path, code: str) -> list[tuple[Path, str]]:
    """Evenly spread over the names: prompts that are long enough and whose text is plain words."""
    (sounds,) = (root / "usr/share/asterisk/sounds").glob(f"{code}_*")
    listing = root / f"usr/share/doc/asterisk-core-sounds-{code}/core-sounds-{code}.txt.gz"
    lines = gzip.decompress(listing.read_bytes()).decode("utf-8-sig").splitlines()
    texts = dict(line.split(": ", 1) for line in lines if ": " in line and line[0] != ";")
    fit = [
        (path, " ".join(texts[path.stem].split()))
        for path in sorted(sounds.glob("*.g722"))
        if re.fullmatch(r"[^\W\d_][^\d_\[\]<>()@/]*", texts.get(path.stem, ""))
        and LONG_ENOUGH[0] <= path.stat().st_size / G722_BYTES <= LONG_ENOUGH[1]
    ]
    count = PER_LANGUAGE[code]
    return fit[:: max(1, len(fit) // count)][:count]


def decode_g722(path: Path) -> np.ndarray:
    import av

    with av.open(str(path), format="g722") as container:
        return np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])


# Sentences of a novel that a volunteer of LibriVox reads, in the source package of pocketsphinx

POCKETSPHINX = "pocketsphinx==5.1.1"
POCKETSPHINX_SHA256 = "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355"


def readings(folder: Path, work: Path) -> Iterator[Row]:
    wanted = work / "wanted.txt"
    wanted.write_text(f"{POCKETSPHINX} --hash=sha256:{POCKETSPHINX_SHA256}\n", "utf-8")
    options = ["--no-deps", "--no-binary=pocketsphinx", "--require-hashes", "--no-input", f"--dest={work}"]
    run(sys.executable, "-m", "pip", "download", *options, f"--requirement={wanted}")
    with tarfile.open(next(work.glob("pocketsphinx-*.tar.gz"))) as archive:
        archive.extractall(work, filter="data")
    (data,) = work.glob("pocketsphinx-*/test/data/librivox")
    for line in (data / "transcription").read_text("utf-8").splitlines():
        found = re.fullmatch(r"<s> (.*) </s> \((.*)\)\s*", line)
        if found is None:
            continue
        target = folder / f"{found[2]}.wav"
        shutil.copyfile(data / target.name, target)
        licence, source = "public domain (LibriVox)", f"PyPI {POCKETSPHINX}, test/data/librivox"
        yield row(target, found[1], "en", "utterance", licence=licence, source=source)


# Sound in which nobody speaks


def nobody(folder: Path, work: Path) -> Iterator[Row]:
    random = np.random.default_rng(0)
    time = np.arange(10 * RATE) / RATE  # seconds, shape (n,)
    white = random.standard_normal(len(time))
    brown = np.cumsum(white) - np.linspace(0, white.sum(), len(time))
    clicks = (random.random(len(time)) < 3 / RATE) * 1.0  # three a second
    sounds = {
        "silence": 0 * time,
        "white_noise": 0.03 * white,
        "brown_noise": 0.3 * brown / np.abs(brown).max(),
        "dial_tone": 0.1 * (np.sin(2 * np.pi * 350 * time) + np.sin(2 * np.pi * 440 * time)),
        "beeps": 0.3 * np.sin(2 * np.pi * 1000 * time) * (time % 1 < 0.3),
        "clicks": 0.8 * clicks,
    }
    for name, samples in sounds.items():
        write_wav(folder / f"{name}.wav", np.clip(samples * 32767, -32768, 32767))
        yield row(folder / f"{name}.wav", "", None, "non-speech", speakers=[], licence="CC0", source="data/make.py")


# Conversations that Kokoro's voices speak, from recipes: exact words, speakers and times

RECIPES = Path(__file__).with_name("talks")


def talk(recipe: Path) -> Callable[[Path, Path], Iterator[Row]]:
    """The source of one recipe, in a folder with its name."""

    def source(folder: Path, work: Path) -> Iterator[Row]:
        from stt_lab.errors import SttError
        from stt_lab.lab.talks.scene import make_talk
        from stt_lab.settings import get_settings

        try:
            found = make_talk(recipe, folder, get_settings())
        except SttError as problem:
            raise Missing(str(problem)) from None
        licence = "CC0 (text and recipe), spoken by Kokoro-82M (Apache-2.0)"
        target = folder / f"{recipe.stem}.wav"
        yield row(target, **found, licence=licence, source=f"data/talks/{recipe.name}")

    source.__name__ = recipe.stem
    return source


# The set

SOURCES: tuple[Callable[[Path, Path], Iterator[Row]], ...] = (
    *(conversation, prompts, readings, nobody),
    *map(talk, sorted(RECIPES.glob("*.toml"))),
)


def make(target: Path) -> list[Row]:
    """Fill `target` and return its manifest. Raises Missing where the folder holds a set from elsewhere."""
    own = {source.__name__ for source in SOURCES}
    if any(entry["id"].split("__")[0] not in own for entry in read(target)):
        raise Missing(f"{target} holds recordings that were not made here: name another folder.")
    target.mkdir(parents=True, exist_ok=True)
    with FileLock(target / ".lock"):
        rows = read(target)
        for source in SOURCES:
            if not any(entry["id"].startswith(f"{source.__name__}__") for entry in rows):
                rows += fill(target, source)
                write(target, rows)
    return rows


def fill(target: Path, source: Callable[[Path, Path], Iterator[Row]]) -> list[Row]:
    """The rows of a source, whose files come into place at once; none when it is missing."""
    name = source.__name__
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target) as work:
        made = Path(work, name)
        made.mkdir()
        try:
            rows = list(source(made, Path(work)))
        except Missing as problem:
            print(f"data: {name} is left out: {problem}", file=sys.stderr)
            return []
        shutil.rmtree(target / name, ignore_errors=True)  # of a run that ended before its manifest was written
        os.replace(made, target / name)
    print(f"data: {name}: {len(rows)} recordings", file=sys.stderr)
    return [located(name, entry) for entry in rows]


def located(name: str, entry: Row) -> Row:
    """A row with an id, and with its files named from the set's folder."""
    files = {field: f"{name}/{entry[field]}" for field in ("path", "rttm", "segments", "word_times") if field in entry}
    valued = {field: value for field, value in (entry | files).items() if value is not None}
    return {"id": f"{name}__{Path(entry['path']).stem}", **valued}


def read(target: Path) -> list[Row]:
    manifest = target / "manifest.jsonl"
    return [json.loads(line) for line in manifest.read_text("utf-8").splitlines()] if manifest.exists() else []


def write(target: Path, rows: list[Row]) -> None:
    fresh = target / ".manifest"
    fresh.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in rows), "utf-8")
    os.replace(fresh, target / "manifest.jsonl")


def main() -> int:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("speech")
    try:
        rows = make(target)
    except Missing as problem:
        print(f"data: {problem}", file=sys.stderr)
        return 1
    seconds = sum(entry["duration_s"] for entry in rows)
    print(f"{len(rows)} recordings, {seconds:.0f} s, in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
