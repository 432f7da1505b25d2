"""Find speech regions, and read their sound as one timeline without the silences between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from stt_lab.types import SAMPLE_RATE, Audio, Event, Report

if TYPE_CHECKING:
    from stt_lab.types import Samples

VAD_BLOCK = 600 * SAMPLE_RATE  # samples per block of voice activity detection
KEPT_SILENCE = 2 * SAMPLE_RATE  # samples; faster-whisper's own limit between regions
MARGIN = 400 * SAMPLE_RATE // 1000  # samples of silence that are kept on either side of a region, as in faster-whisper
PAUSE_MS = 300  # shortest silence between two stretches of voice activity
AFTER = SAMPLE_RATE  # samples of silence after the last sound


@dataclass(frozen=True)
class Region:
    """A stretch of speech, in samples of the file."""

    start: int
    stop: int


class Speech:
    """The speech regions of a sound joined end to end. Windows are cut from this packed timeline."""

    def __init__(self, audio: Audio, regions: Sequence[Region]) -> None:
        self.audio, self.regions = audio, tuple(regions)
        self._offsets = [0]  # packed position of each region's start
        for region in self.regions:
            self._offsets.append(self._offsets[-1] + region.stop - region.start)

    @property
    def samples(self) -> int:
        return self._offsets[-1]

    def read(self, start: int, stop: int) -> Samples:
        """Return packed samples `start` to `stop`, float32, shape (stop - start,)."""
        import numpy as np

        parts = []
        for region, (offset, end) in zip(self.regions, pairwise(self._offsets), strict=True):
            first, last = max(start, offset), min(stop, end)
            if first < last:
                parts.append(self.audio.read(region.start + first - offset, region.start + last - offset))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def region_at(self, seconds: float) -> int:
        """Return the index of the region that contains a packed time."""
        import bisect

        index = bisect.bisect_right(self._offsets, int(seconds * SAMPLE_RATE)) - 1
        return min(max(index, 0), len(self.regions) - 1)

    def original(self, seconds: float, region: int) -> float:
        """Convert a packed time to seconds of the file, inside `region`."""
        bounds = self.regions[region]
        shift = bounds.start - self._offsets[region]
        sample = min(max(seconds * SAMPLE_RATE + shift, bounds.start), bounds.stop)
        return round(float(sample) / SAMPLE_RATE, 3)


def find_activity(audio: Audio, report: Report) -> list[Region]:
    """Find where somebody speaks with Silero's voice activity detection, block by block.

    Silences of PAUSE and more are left out. A voice that goes on over the end of a block is two regions that touch.
    After the sound it hears silence: it would otherwise take what fades at the very end for speech.
    """
    import numpy as np
    from faster_whisper.vad import get_speech_timestamps

    regions: list[Region] = []
    for start in range(0, audio.samples, VAD_BLOCK):
        report(Event("transcribing", 0.0))
        sound = audio.read(start, start + VAD_BLOCK)
        if start + VAD_BLOCK >= audio.samples:
            sound = np.pad(sound, (0, AFTER))
        voiced = get_speech_timestamps(sound, min_silence_duration_ms=PAUSE_MS, speech_pad_ms=0)
        found = (Region(start + one["start"], min(audio.samples, start + one["end"])) for one in voiced)
        regions += (region for region in found if region.start < region.stop)
    return regions


def without_silence(activity: Sequence[Region], samples: int) -> list[Region]:
    """Return the regions of a sound that are decoded: speech with MARGIN around it.

    Only silences longer than KEPT_SILENCE are removed, at the ends of the sound as between words: the recogniser uses
    short ones, and a clip that is mostly speech is decoded unchanged.
    """
    regions = [Region(0, 0)]
    for found in activity:
        region = Region(max(0, found.start - MARGIN), min(samples, found.stop + MARGIN))
        if region.start - regions[-1].stop < KEPT_SILENCE:
            regions[-1] = Region(regions[-1].start, region.stop)
        else:
            regions.append(region)
    if samples - regions[-1].stop < KEPT_SILENCE and regions[-1].stop:
        regions[-1] = Region(regions[-1].start, samples)
    return [region for region in regions if region.stop]
