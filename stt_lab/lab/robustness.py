"""Recordings made worse in known ways, for notebook 04: noise, room, telephone, clipping, speed.

dataset = worsened("recordings", "out", snrs=(20, 10, 0))   # `source` of its items is the condition
"""

from __future__ import annotations

import tempfile
import wave
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.errors import BadInput
from stt_lab.lab import tables
from stt_lab.lab.dataset import Dataset, Item, read_manifest, write_manifest
from stt_lab.lab.measures import voices
from stt_lab.lab.results import Results, settings_near
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]  # (samples,), in [-1, 1)

Effect = Callable[["Sound", int], "Sound"]  # sound and a seed
CLEAN = "as recorded"
REVERBERATION_S = 0.6  # until the room is 60 dB quieter
TELEPHONE_HZ = (300.0, 3400.0)
LONGEST_S = 30.0  # of a recording that is taken
CLIPPED = 0.1  # share of the loudest samples that are cut off


def noise(snr_db: float) -> Effect:
    """White noise, so many decibels below the recording's mean power."""

    def effect(sound: Sound, seed: int) -> Sound:
        import numpy as np

        added = np.random.default_rng(seed).standard_normal(len(sound))
        power = float(np.mean(np.square(sound, dtype=float))) or 1e-9
        return np.asarray(sound + added * np.sqrt(power / 10 ** (snr_db / 10)), np.float32)

    return effect


def room(sound: Sound, seed: int) -> Sound:
    """Reverberation: noise that dies away, as the answer of a room; as loud as before."""
    import numpy as np

    times = np.arange(int(REVERBERATION_S * SAMPLE_RATE)) / SAMPLE_RATE
    answer = np.random.default_rng(seed).standard_normal(len(times)) * 10 ** (-3 * times / REVERBERATION_S)
    answer[0] = np.abs(answer).sum() / 10  # the direct sound
    size = len(sound) + len(answer) - 1
    made = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(answer, size), size)[: len(sound)]
    return np.asarray(made * (np.std(sound) / max(float(np.std(made)), 1e-9)), np.float32)


def telephone(sound: Sound, seed: int) -> Sound:
    """The band of a telephone line."""
    import numpy as np

    spectrum, places = np.fft.rfft(sound), np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    spectrum[(places < TELEPHONE_HZ[0]) | (places > TELEPHONE_HZ[1])] = 0
    return np.asarray(np.fft.irfft(spectrum, len(sound)), np.float32)


def clipping(sound: Sound, seed: int) -> Sound:
    """The loudest samples are cut off, as by a microphone that was set too loud."""
    import numpy as np

    limit = max(float(np.quantile(np.abs(sound), 1 - CLIPPED)), 1e-4)
    return np.asarray(np.clip(sound, -limit, limit), np.float32)


def faster(factor: float) -> Effect:
    """Played faster, and higher with it."""

    def effect(sound: Sound, seed: int) -> Sound:
        import numpy as np

        return np.asarray(np.interp(np.arange(0, len(sound) - 1, factor), np.arange(len(sound)), sound), np.float32)

    return effect


def conditions(snrs: Sequence[float]) -> Mapping[str, Effect]:
    """Name and effect of each; numbers come first so that a figure has them in order."""
    noises = {f"noise, SNR {snr:g} dB": noise(snr) for snr in sorted(snrs, reverse=True)}
    others = {"room": room, "telephone": telephone, "clipping": clipping, "20 % faster": faster(1.2)}
    return {CLEAN: lambda sound, seed: sound} | noises | others


def worsened(recordings: str, target: str, snrs: Sequence[float], limit: int = 5, seed: int = 0) -> Dataset:
    """Some recordings of one voice with a text, once per condition, as a dataset in `target`.

    `recordings` is a manifest or its folder; "" is the folder of the setting speech_dir.
    """
    dataset = read_manifest(Path(recordings) if recordings else settings_near().speech_dir)
    usable = [item for item in dataset.items if item.text and voices(item) == 1 and (item.duration or 0) <= LONGEST_S]
    if not usable or limit < 1:
        raise BadInput(f"{dataset.name} has no short recording of one voice with a text: name another dataset.")
    chosen = usable[:: max(1, len(usable) // limit)][:limit]  # from all parts of it
    folder = Path(target).absolute() / f"worsened-{datetime.now():%Y%m%d-%H%M%S}"
    (folder / "audio").mkdir(parents=True)
    made = [version for item, sound in _decoded(chosen) for version in _versions(item, sound, folder, snrs, seed)]
    found = Dataset(f"{dataset.name}, worsened", folder, tuple(made))
    write_manifest(found, folder)
    return found


def _decoded(items: Sequence[Item]) -> Iterator[tuple[Item, Sound]]:
    settings = get_settings()
    with tempfile.TemporaryDirectory(prefix="stt_lab-") as scratch:
        limits = DecodeLimits(settings.max_samples, settings.decode_timeout_s)
        with closing(Decoder(Path(scratch), limits)) as decoder:
            for item in items:
                with decoder.decode(item.audio) as audio:
                    yield item, audio.read()


def _versions(item: Item, sound: Sound, folder: Path, snrs: Sequence[float], seed: int) -> Iterator[Item]:
    number = zlib.crc32(f"{seed} {item.id}".encode())
    for turn, (name, effect) in enumerate(conditions(snrs).items()):
        path = folder / "audio" / f"{number:08x}-{turn}.wav"
        worse = effect(sound, number)
        _write(path, worse)
        extra = {**item.extra, "original": item.id}
        known = Item(f"{item.id}: {name}", path, item.language, item.text, licence=item.licence, extra=extra)
        yield replace(known, source=name, duration=len(worse) / SAMPLE_RATE)


def by_condition(results: Results) -> Any:
    """WER of each condition, in the order in which they were made; as `tables.rates` gives it."""
    order = list(dict.fromkeys(item.source for item in results.run.items))
    return tables.rates(results, "wer", "source").sort_values("group", key=lambda names: names.map(order.index))


def _write(path: Path, sound: Sound) -> None:
    import numpy as np

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
