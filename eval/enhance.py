"""What enhance-audio gains, how near it comes to the loudness, and what it costs.

    python eval/enhance.py gains      SI-SDR, PESQ and STOI before and after, beside the plain runtime
    python eval/enhance.py loudness   loudness and true peaks of 20 recordings
    python eval/enhance.py cost       CPU seconds a second and channel; memory for an hour

Recordings come from STT_LAB_SPEECH_DIR; results go to eval/results/enhance.json. Gains are means over pairs; intervals
are drawn by reader. References are at 16 kHz, at which PESQ (wide band) and STOI are defined.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyloudnorm
from pesq import pesq
from pystoi import stoi
from scipy.signal import resample_poly

import stt_lab
from stt_lab.runtime import local_runtime
from stt_lab.settings import get_settings
from stt_lab.voice.deepfilter import DELAY, RATE, DeepFilter
from stt_lab.voice.levels import true_peaks
from stt_lab.weights import catalog

RESULTS = Path(__file__).parent / "results" / "enhance.json"
SNRS = (0, 5, 10, 15)  # dB
REFERENCE_RATE = 16_000  # Hz
MEASURES = ("si_sdr", "pesq", "stoi")
READERS = ("librispeech_test_other/", "ljspeech/", "librispeech_misc/", "librivox_")
MUSIC = ("admiralbob77_-_Choice_-_Drum-bass.ogg", "147793__setuniman__sweet-waltz-0i-22mi.ogg")
NOISE = "speechbrain_noise4.flac"
SYNTHETIC = ("white", "pink", "hum", "babble")
DRAWS = 2000


def speech_dir() -> Path:
    return get_settings().speech_dir


def read(path: Path, rate: int = REFERENCE_RATE) -> np.ndarray:
    with local_runtime().decoder.decode(path, sample_rate=rate) as audio:
        return audio.read()


def clean_readers(count: int) -> list[tuple[str, Path]]:
    """Readers and a clean recording of each turn by turn, longest 12 s, until there are `count`."""
    by_reader: dict[str, list[Path]] = {}
    for line in (speech_dir() / "manifest.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["path"].startswith(READERS) and 3 <= row["duration_s"] <= 12:
            reader = str((row.get("speakers") or [row["path"].split("/")[0]])[0])
            by_reader.setdefault(reader, []).append(speech_dir() / row["path"])
    chosen: list[tuple[str, Path]] = []
    turn = 0
    while len(chosen) < count:
        chosen += [(reader, paths[turn % len(paths)]) for reader, paths in sorted(by_reader.items())]
        turn += 1
    return chosen[:count]


def noises(length: int, rng: np.random.Generator, babble: list[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Endless: a noise of each kind in turn, at the rate of the references."""
    recorded = {name: read(speech_dir() / "music_noise" / name) for name in (*MUSIC, NOISE)}
    voices = [read(path) for path in babble]
    while True:
        for name, sound in recorded.items():
            yield name, part_of(sound, length, rng)
        for kind in SYNTHETIC:
            yield kind, synthetic(kind, length, rng, voices)


def part_of(sound: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    sound = np.tile(sound, -(-length // len(sound)) + 1)
    start = int(rng.integers(0, len(sound) - length))
    return sound[start : start + length]


def synthetic(kind: str, length: int, rng: np.random.Generator, voices: list[np.ndarray]) -> np.ndarray:
    if kind == "babble":
        return np.sum([part_of(voice, length, rng) for voice in voices], axis=0)
    white = rng.normal(0, 1, length)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    frequencies = np.fft.rfftfreq(length, 1 / REFERENCE_RATE)
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequencies, 20)), length)
    if kind == "pink":
        return pink
    t = np.arange(length) / REFERENCE_RATE  # a fan: harmonics of the mains in pink noise
    return sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in range(1, 12)) + 2 * pink / pink.std()


def mixed(clean: np.ndarray, noise: np.ndarray, snr: float) -> tuple[np.ndarray, np.ndarray]:
    """The pair at a signal-to-noise ratio in dB over the whole, scaled alike so that nothing clips."""
    scale = np.sqrt(np.square(clean).mean() / np.square(noise).mean() / 10 ** (snr / 10))
    noisy = clean + scale * noise
    level = 0.7 / np.abs(noisy).max()
    return clean * level, noisy * level


def si_sdr(reference: np.ndarray, made: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019)."""
    reference, made = reference - reference.mean(), made - made.mean()
    target = np.dot(made, reference) / np.dot(reference, reference) * reference
    return float(10 * np.log10(np.square(target).sum() / np.square(made - target).sum()))


def measured(reference: np.ndarray, made: np.ndarray) -> dict[str, float]:
    return {
        "si_sdr": si_sdr(reference, made),
        "pesq": float(pesq(REFERENCE_RATE, reference, made, "wb")),
        "stoi": float(stoi(reference, made, REFERENCE_RATE)),
    }


def wav(path: Path, sound: np.ndarray, rate: int = REFERENCE_RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.clip(np.rint(sound * 32768), -32768, 32767).astype("<i2").tobytes())
    return path


def enhanced(path: Path, **options: Any) -> tuple[np.ndarray, dict[str, str], int]:
    """The result as (n, channels), its headers and its rate."""
    file = stt_lab.enhance_audio(path, **options)
    with wave.open(io.BytesIO(b"".join(file.chunks))) as made:
        raw = np.frombuffer(made.readframes(made.getnframes()), "<i2").reshape(-1, made.getnchannels())
        return raw / 32768, dict(file.headers), made.getframerate()


def plainly(sound: np.ndarray) -> np.ndarray:
    """The same runtime by itself: the whole at once, its delay cut off, no 16 bits and no loudness in between."""
    folder = catalog.module_folder(catalog.get("deepfilternet3"))
    assert folder is not None
    one = DeepFilter(folder, 100.0)
    up = resample_poly(sound, RATE // REFERENCE_RATE, 1).astype(np.float32)
    made = np.concatenate([one.push(up), one.push(np.zeros(2 * DELAY, np.float32))])[: len(up)]
    one.close()
    return resample_poly(made, 1, RATE // REFERENCE_RATE)[: len(sound)]


def interval(rows: list[dict[str, Any]], system: str, measure: str, rng: np.random.Generator) -> dict[str, float]:
    """Mean gain and its 95 % interval; readers are drawn with replacement."""
    by_reader: dict[str, list[float]] = {}
    for row in rows:
        by_reader.setdefault(row["reader"], []).append(row[system][measure] - row["before"][measure])
    groups = [np.array(values) for values in by_reader.values()]
    draws = [
        np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))]).mean() for _ in range(DRAWS)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return {
        "gain": float(np.concatenate(groups).mean()),
        "low": float(low),
        "high": float(high),
        "readers": len(groups),
    }


def gains(folder: Path, count: int) -> dict[str, Any]:
    rng = np.random.default_rng(15)
    readers = clean_readers(count)
    source = noises(12 * REFERENCE_RATE + 1, rng, [path for _, path in readers[-6:]])
    rows: list[dict[str, Any]] = []
    for number, (reader, path) in enumerate(readers):
        snr, clean = SNRS[number % len(SNRS)], read(path)
        kind, noise = next(source)
        clean, noisy = mixed(clean, noise[: len(clean)], snr)
        rows.append(pair(folder, reader, f"{snr} dB", kind, clean, noisy))
        print(rows[-1], flush=True)
    for path in sorted((speech_dir() / "vctk_noisy").glob("clean_*.flac")):
        noisy = read(path.with_name(path.name.replace("clean", "noisy")))
        rows.append(pair(folder, path.stem, "VCTK", "recorded", read(path), noisy))
        print(rows[-1], flush=True)
    table = {}
    for group in [*(f"{snr} dB" for snr in SNRS), "VCTK", "<= 10 dB"]:
        some = [row for row in rows if row["group"] == group or (group == "<= 10 dB" and row["group"] in GROUPED)]
        table[group] = {"pairs": len(some)} | {
            f"{system} {measure}": interval(some, system, measure, rng)
            for system in ("ours", "ours at -16 LUFS", "plain")
            for measure in MEASURES
        }
    return {"table": table, "rows": rows}


GROUPED = tuple(f"{snr} dB" for snr in SNRS if snr <= 10)


def pair(folder: Path, reader: str, group: str, kind: str, clean: np.ndarray, noisy: np.ndarray) -> dict[str, Any]:
    path = wav(folder / "noisy.wav", noisy)
    made = {"before": measured(clean, noisy), "plain": measured(clean, plainly(noisy))}
    for name, options in (("ours", {"normalize": False}), ("ours at -16 LUFS", {})):
        sound = enhanced(path, **options)[0][:, 0]
        assert len(sound) == len(clean)
        made[name] = measured(clean, sound)
    return {"reader": reader, "group": group, "noise": kind} | made


def loudness() -> list[dict[str, Any]]:
    """20 recordings of all folders: speech, conversations, music, films."""
    rows = [json.loads(line) for line in (speech_dir() / "manifest.jsonl").read_text("utf-8").splitlines()]
    folders: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["duration_s"] <= 60:
            folders.setdefault(row["path"].split("/")[0], []).append(row)
    chosen = [some[turn] for turn in range(3) for some in folders.values() if len(some) > turn][:20]
    found = []
    for row in chosen:
        sound, headers, rate = enhanced(speech_dir() / row["path"])
        after = headers["X-Loudness-After"]
        measured_by = pyloudnorm.Meter(rate).integrated_loudness(sound) if after else None
        peak = float(20 * np.log10(max(1e-9, true_peaks(sound.astype(np.float32)).max())))
        found.append({"path": row["path"], **headers, "pyloudnorm": measured_by, "true_peak_db": peak})
        print(found[-1], flush=True)
    return found


def cost(folder: Path) -> dict[str, Any]:
    """CPU of all child processes for a stereo file of 60 s, and the memory of the largest for an hour."""
    minute = np.tile(read(speech_dir() / "assembled" / "conv_dev_4spk.flac", RATE), 2)[: 60 * RATE]
    stereo = folder / "stereo.wav"
    with wave.open(str(stereo), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.repeat(np.rint(minute * 32767).astype("<i2"), 2).tobytes())
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    enhanced(stereo)
    local_runtime().decoder.close()  # so that its processor time counts
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_per_second_and_channel": used / 120, "wall_s": time.monotonic() - began}


def hour(folder: Path) -> dict[str, Any]:
    """An hour of mono at 16 kHz: the most memory of this process and of its children, each by its own count."""
    minute = np.tile(read(speech_dir() / "assembled" / "conv_dev_4spk.flac"), 2)[: 60 * REFERENCE_RATE]
    path = folder / "hour.wav"
    with wave.open(str(path), "wb") as file:  # minute by minute, because a child's count begins with its parent's
        file.setparams((1, 2, REFERENCE_RATE, 0, "NONE", ""))
        for _ in range(60):
            file.writeframes((minute * 32767).astype("<i2").tobytes())
    began, most, stop = time.monotonic(), dict[str, float](), threading.Event()
    watch = threading.Thread(target=watch_memory, args=(most, stop), daemon=True)
    watch.start()
    made = stt_lab.enhance_audio(path)
    size = sum(len(chunk) for chunk in made.chunks)
    stop.set()
    watch.join()
    return {"mb": most, "bytes": size, "wall_s": time.monotonic() - began, "headers": dict(made.headers)}


def watch_memory(most: dict[str, float], stop: threading.Event) -> None:
    """Note the most resident megabytes of this process and of each of its children, by their programs."""
    while not stop.wait(0.5):
        for process in (own := psutil.Process(), *own.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                name = "this process" if process == own else " ".join(process.cmdline()[1:4])
                most[name] = max(most.get(name, 0.0), process.memory_info().rss / 1024**2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["gains", "loudness", "cost", "hour"])
    parser.add_argument("--folder", type=Path, required=True, help="folder for sounds that are made on the way")
    parser.add_argument("--pairs", type=int, default=40)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    work = {
        "gains": lambda: gains(args.folder, args.pairs),
        "loudness": loudness,
        "cost": lambda: cost(args.folder),
        "hour": lambda: hour(args.folder),
    }
    made = work[args.what]()
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(known | {args.what: made}, indent=1) + "\n")
    print(json.dumps(made["table"] if args.what == "gains" else made, indent=1))


if __name__ == "__main__":
    main()
