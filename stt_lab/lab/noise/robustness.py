"""Make a dataset of degraded recordings for notebook 04: each recording once per condition.

dataset = worsened("recordings", "out", Sweep(snrs_db=(20, 10, 0)))   # `source` of an item is its condition
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.errors import BadInput, Unavailable
from stt_lab.lab.data.dataset import Dataset, Item, write_manifest
from stt_lab.lab.data.importers import read_recordings
from stt_lab.lab.noise import effects
from stt_lab.lab.noise.effects import Effect, unchanged
from stt_lab.lab.noise.sound import own_decoder, write_wav
from stt_lab.lab.report import tables
from stt_lab.lab.scoring.measures import voices
from stt_lab.lab.scoring.results import Results, settings_near
from stt_lab.types import SAMPLE_RATE

if TYPE_CHECKING:
    from stt_lab.lab.noise.sound import Sound

CLEAN = "as recorded"
LONGEST_S = 30.0  # longer recordings are skipped
ENCODER = Path(__file__).with_name("encoder.py")
ENCODING_S = 600  # timeout for all files, seconds
MP3_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # bit rates of MPEG-2 layer III at 16 kHz
PERCENT = range(2, 51, 2)  # audiomentations halves them for both signs
SNR = "snr_db"  # extra column of items with noise


@dataclass(frozen=True)
class Coding:
    """A lossy encoding."""

    suffix: str
    codec: str  # encoder name of FFmpeg
    rate: int  # Hz
    bit_rate: int  # bit/s


@dataclass(frozen=True)
class Condition:
    """An effect and an encoding that are applied to a recording."""

    effect: Effect = unchanged
    coding: Coding | None = None
    extra: Mapping[str, float] = field(default_factory=dict)  # extra columns of its items


@dataclass(frozen=True)
class Sweep:
    """Strengths of each effect; an empty list skips the effect."""

    snrs_db: Sequence[float] = (20, 10, 5, 0)
    colour: str = "pink"
    rooms_s: Sequence[float] = (0.3, 0.8)  # T60
    clipped: Sequence[int] = (10,)  # percent of the samples
    speeds: Sequence[float] = (0.8, 1.25)
    mp3_kbps: Sequence[int] = (32, 8)
    opus_kbps: Sequence[int] = (16, 6)
    telephone: bool = True

    def __post_init__(self) -> None:
        if self.colour not in effects.COLOURS:
            raise BadInput(f"colour cannot be {self.colour!r}. Choose from {', '.join(effects.COLOURS)}.")
        _refuse_outside("snrs_db", self.snrs_db, (-20, 60))
        _refuse_outside("rooms_s", self.rooms_s, (0.15, 1.2))
        _refuse_outside("speeds", self.speeds, (0.5, 2.0))
        _refuse_outside("opus_kbps", self.opus_kbps, (6, 128))
        _refuse_others("mp3_kbps", self.mp3_kbps, MP3_KBPS)
        _refuse_others("clipped", self.clipped, PERCENT)

    def conditions(self) -> dict[str, Condition]:
        """Return the conditions by name, the mildest of each effect first."""
        made = {CLEAN: Condition()}
        for snr in sorted(self.snrs_db, reverse=True):
            made[f"noise, SNR {snr:g} dB"] = Condition(effects.noise(snr, self.colour), extra={SNR: snr})
        made |= {f"room, T60 {t60:g} s": Condition(effects.room(t60)) for t60 in sorted(self.rooms_s)}
        made |= {f"clipped, {share} %": Condition(effects.clipping(share)) for share in sorted(self.clipped)}
        made |= {f"{factor:g} times as fast": Condition(effects.speed(factor)) for factor in sorted(self.speeds)}
        if self.telephone:
            law = Coding(".wav", "pcm_mulaw", 8_000, 64_000)
            made["telephone, G.711"] = Condition(effects.telephone_band, law)
        for kbps in sorted(self.mp3_kbps, reverse=True):
            made[f"MP3, {kbps} kb/s"] = Condition(coding=Coding(".mp3", "libmp3lame", SAMPLE_RATE, 1000 * kbps))
        for kbps in sorted(self.opus_kbps, reverse=True):
            made[f"Opus, {kbps} kb/s"] = Condition(coding=Coding(".opus", "libopus", SAMPLE_RATE, 1000 * kbps))
        return made


def _refuse_outside(name: str, values: Iterable[float], limits: tuple[float, float]) -> None:
    low, high = limits
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise BadInput(f"{name} cannot contain {value!r}. Use numbers from {low:g} to {high:g}.")


def _refuse_others(name: str, values: Iterable[int], known: Collection[int]) -> None:
    for value in values:
        if value not in known:
            raise BadInput(f"{name} cannot contain {value!r}. Choose from {', '.join(map(str, known))}.")


def worsened(recordings: str, target: str, sweep: Sweep, limit: int = 5, seed: int = 0) -> Dataset:
    """Degrade up to `limit` recordings of one speaker, once per condition, into a dataset in `target`.

    `recordings` is a manifest, its folder, or a folder of audio with texts; "" = the folder of the setting speech_dir.
    """
    settings = settings_near()
    dataset = read_recordings(Path(recordings) if recordings else settings.speech_dir)
    usable = [item for item in dataset.items if item.text and voices(item) == 1 and (item.duration or 0) <= LONGEST_S]
    if not usable or limit < 1:
        raise BadInput(
            f"{dataset.name} has no recording of one speaker with text, up to {LONGEST_S:g} s. Use another dataset."
        )
    chosen = usable[:: max(1, len(usable) // limit)][:limit]  # spread over the whole dataset
    folder = Path(target).absolute() / f"worsened-{datetime.now():%Y%m%d-%H%M%S}"
    (folder / "audio").mkdir(parents=True)
    made: list[Item] = []
    with _Writer(folder / "audio") as writer, own_decoder(settings) as decoder:
        for item in chosen:
            with decoder.decode(item.audio) as audio:
                made += _versions(item, audio.read(), sweep, seed, writer)
    found = Dataset(f"{dataset.name}, worsened", folder, tuple(made))
    write_manifest(found, folder)
    return found


def _versions(item: Item, sound: Sound, sweep: Sweep, seed: int, writer: _Writer) -> Iterator[Item]:
    number = zlib.crc32(f"{seed} {item.id}".encode())
    for turn, (name, condition) in enumerate(sweep.conditions().items()):
        worse = condition.effect(sound, number)
        path = writer.write(f"{number:08x}-{turn:02}", worse, condition.coding)
        yield Item(
            f"{item.id}: {name}", path, item.language, item.text, duration=len(worse) / SAMPLE_RATE,
            licence=item.licence, source=name, extra={**item.extra, **condition.extra, "original": item.id},
        )  # fmt: skip


class _Writer:
    """Writes WAV files at once, and encoded files in one child process on exit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._plain = tempfile.TemporaryDirectory(prefix="stt_lab-")
        self._jobs: list[dict[str, Any]] = []

    def __enter__(self) -> _Writer:
        return self

    def write(self, name: str, sound: Sound, coding: Coding | None) -> Path:
        if coding is None:
            write_wav(self.folder / f"{name}.wav", sound)
            return self.folder / f"{name}.wav"
        source, target = Path(self._plain.name) / f"{name}.wav", self.folder / f"{name}{coding.suffix}"
        write_wav(source, sound)
        how = {one.name: getattr(coding, one.name) for one in fields(coding) if one.name != "suffix"}
        self._jobs.append({"source": str(source), "target": str(target), **how})
        return target

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        with self._plain:
            if kind is None and self._jobs:
                self._encode()

    def _encode(self) -> None:
        command = [sys.executable, "-P", str(ENCODER)]
        try:
            said = subprocess.run(
                command, input=json.dumps(self._jobs), text=True, capture_output=True, timeout=ENCODING_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            raise Unavailable("The encoder cannot run. Exclude the codecs.") from None
        if said.returncode:
            reason = (said.stderr.strip().splitlines() or ["no message"])[-1]
            raise Unavailable(f"The encoder failed ({reason}). Exclude the codec.")


# Results


def by_condition(results: Results) -> Any:
    """Return WER by condition, in the order of the conditions, like `tables.rates`."""
    order = list(dict.fromkeys(item.source for item in results.run.items))
    return tables.rates(results, "wer", "source").sort_values("group", key=lambda names: names.map(order.index))


def by_snr(results: Results) -> Any:
    """Return the conditions with noise and their SNR as a column; infinite for clean recordings."""
    known = {item.source: item.extra[SNR] for item in results.run.items if SNR in item.extra} | {CLEAN: math.inf}
    table = by_condition(results)
    made = table[table["group"].isin(known)].assign(snr=lambda rows: rows["group"].map(known))
    return made.sort_values("snr", ascending=False, kind="stable")
