"""Run pyannote.audio's diarization pipeline in bounded memory.

The steps stay pyannote's: overlapping windows, local speakers, number of speakers per frame, embeddings, clusters,
reconstruction. Three things differ. Sound is read as windows of a file, never as a whole. Networks run on several
threads of one core each, never on silence, and once per window where pyannote runs three times. Memory holds 0 and 1 as
bytes, and sums per frame instead of an array of windows x frames x speakers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization
from pyannote.core import Annotation, Segment, SlidingWindow, SlidingWindowFeature

from stt_lab.engines.campplus import CamPlusPlus, chosen, fbank
from stt_lab.engines.clustering import VoiceClustering, loudest, tally
from stt_lab.engines.resegmentation import Floats, Stretch
from stt_lab.types import SAMPLE_RATE, Audio

Bits = NDArray[np.uint8]
Hook = Callable[..., None]
Item = TypeVar("Item")
Made = TypeVar("Made")

SILENCE = 4 / 32768  # peak amplitude of a silent window
MANY = 72  # windows (3 minutes), beyond which stretches are evidence enough for embedding half the windows
CLEAN_S = 0.5  # non-overlapped speech that suffices for an embedding; with less, overlapped speech is used too


class WindowedDiarization(SpeakerDiarization):  # type: ignore[misc]  # pyannote.audio is untyped
    """pyannote's pipeline with windows that are read from `file["sound"]`, an Audio, on demand.

    Requires models with binary output (powerset), such as all since segmentation-3.0.
    """

    threads: int = 1
    batch: ClassVar[int] = 4  # windows per forward pass; more are no faster on a CPU

    def get_segmentations(self, file: dict[str, Any], hook: Hook | None = None) -> SlidingWindowFeature:
        """Return which of three local speakers speak: bytes of 0 and 1, shape (windows, frames, 3)."""
        duration, step = self._segmentation.duration, self._segmentation.step
        sound: Audio = file["sound"]
        windows = 1 + max(0, int(np.ceil((sound.samples / SAMPLE_RATE - duration) / step - 1e-9)))
        batches = [range(i, min(i + self.batch, windows)) for i in range(0, windows, self.batch)]

        def segment(numbers: range) -> Bits:
            waves = np.stack([self.window(sound, number * step) for number in numbers])[:, None]
            heard = np.abs(waves).max(axis=(1, 2)) > SILENCE
            found: Bits = self._segmentation.infer(torch.from_numpy(waves)).astype(np.uint8)
            found[~heard] = 0
            return found

        parts = []
        for part in self.parallel(segment, batches):
            parts.append(part)
            if hook is not None:
                hook("segmentation", None, completed=len(parts), total=len(batches))
        return SlidingWindowFeature(np.concatenate(parts), SlidingWindow(start=0.0, duration=duration, step=step))

    def get_embeddings(
        self,
        file: dict[str, Any],
        binary_segmentations: SlidingWindowFeature,
        exclude_overlap: bool = False,
        hook: Hook | None = None,
    ) -> Floats:
        """Embed each local speaker of each window: (windows, 3, dimension); NaN for silent ones."""
        sound: Audio = file["sound"]
        windows, step = binary_segmentations.data, binary_segmentations.sliding_window.step
        found = np.full((*windows.shape[::2], self._embedding.dimension), np.nan, np.float32)
        busy = [i for i in self.embedded(len(windows)) if windows[i].any()]

        def embed(number: int) -> Floats:
            return self.embed(self.window(sound, number * step), masks(windows[number], exclude_overlap))

        for done, (number, vectors) in enumerate(zip(busy, self.parallel(embed, busy), strict=True), 1):
            found[number] = vectors
            if hook is not None:
                hook("embeddings", None, completed=done, total=len(busy))
        return found

    def embedded(self, windows: int) -> Sequence[int]:
        """Return the windows whose local speakers are embedded; the rest does not vote on clusters."""
        return range(windows)

    def embed(self, wave: Floats, speaking: Floats) -> Floats:
        """Embed a window: (samples,) and (frames, 3) to (3, dimension). One pass of WeSpeaker serves all speakers."""
        model = self._embedding.model_
        with torch.inference_mode():
            frames = model.forward_frames(torch.from_numpy(wave)[None, None].to(model.device))
            weights = torch.from_numpy(speaking.T.copy())[None].to(model.device)
            vectors: Floats = model.forward_embedding(frames, weights)[0].cpu().numpy()
        vectors[~speaking.any(axis=0)] = np.nan
        return vectors

    def reconstruct(
        self, segmentations: SlidingWindowFeature, hard_clusters: NDArray[Any], count: SlidingWindowFeature
    ) -> SlidingWindowFeature:
        """Choose the `count` speakers of each frame that most windows agree on: (frames, speakers) of 0 and 1."""
        shares = (hard_clusters[..., None] == np.arange(max(1, int(hard_clusters.max()) + 1))).astype(np.float32)
        return SlidingWindowFeature(loudest(tally(segmentations, shares, count), count), count.sliding_window)

    @staticmethod
    def to_annotation(
        discrete_diarization: SlidingWindowFeature, min_duration_on: float = 0.0, min_duration_off: float = 0.0
    ) -> Annotation:
        """Convert frames to stretches, from the middle of the first to the middle of the one after the last."""
        found, frames = Annotation(), discrete_diarization.sliding_window
        for speaker, speaking in enumerate(discrete_diarization.data.T):
            edges = np.flatnonzero(np.diff(speaking, prepend=0, append=0))
            for first, after in edges.reshape(-1, 2).tolist():
                found[Segment(frames[first].middle, frames[after].middle), speaker] = speaker
        return found.support(min_duration_off)

    @staticmethod
    def window(sound: Audio, start: float, duration: float = 10.0) -> Floats:
        """Read samples from `start` seconds, padded with silence at the end."""
        first, length = round(start * SAMPLE_RATE), round(duration * SAMPLE_RATE)
        wave = sound.read(first, first + length)
        return np.pad(wave, (0, length - len(wave)))

    def parallel(self, work: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        """Yield results in order, computed on `threads` threads of one core each. Leaving the loop cancels the rest.

        These networks consist of small steps: two cores in one step gain nothing, two steps at once nearly double.
        """
        pending: deque[Future[Made]] = deque()
        with ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                for item in items:
                    pending.append(pool.submit(work, item))
                    if len(pending) > self.threads:  # these threads go on during another recording's turn
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)


class CampplusDiarization(WindowedDiarization):
    """The pipeline with `VoiceClustering` and CAM++, which must get one voice at a time."""

    def __init__(self, segmentation: Any, embedding: CamPlusPlus, plda: Any, step: float) -> None:
        super().__init__(
            segmentation=segmentation,
            segmentation_step=step,
            embedding=embedding,
            embedding_exclude_overlap=True,
            plda=plda,
            clustering="AgglomerativeClustering",
        )
        self.clustering = VoiceClustering(self.embed_stretches)
        self.instantiate({"segmentation": {"min_duration_off": 0.0}})

    def reconstruct(
        self, segmentations: SlidingWindowFeature, hard_clusters: NDArray[Any], count: SlidingWindowFeature
    ) -> SlidingWindowFeature:
        return SlidingWindowFeature(loudest(self.clustering.votes, count), count.sliding_window)

    def embedded(self, windows: int) -> Sequence[int]:
        """Every window, or every second one and the last if the recording is long: as good there (eval/LOG.md)."""
        return range(windows) if windows <= MANY else sorted({*range(0, windows, 2), windows - 1})

    def embed(self, wave: Floats, speaking: Floats) -> Floats:
        features, model = fbank(torch.from_numpy(wave)), self._embedding.model_
        found = np.full((speaking.shape[1], model.dimension), np.nan, np.float32)
        for speaker, mask in enumerate(speaking.T):
            vector = self._voice(features[chosen(torch.from_numpy(mask.copy()), len(features))])
            if vector is not None:
                found[speaker] = vector
        return found

    def _voice(self, features: torch.Tensor) -> Floats | None:
        """Embed filter banks (frames, 80) of one voice; None if they are too few."""
        model: CamPlusPlus = self._embedding.model_
        if len(features) < model.min_frames:
            return None
        with torch.inference_mode():
            vector: Floats = model.embed(features).cpu().numpy()
        return vector

    def embed_stretches(
        self, found: Iterable[Stretch], frames: SlidingWindow, file: dict[str, Any]
    ) -> Iterator[Floats | None]:
        """Embed stretches of a file, each as a whole, in order."""
        sound: Audio = file["sound"]
        every = list(found)

        def embed(stretch: Stretch) -> Floats | None:
            start, end = (frames[frame].middle for frame in (stretch.first, stretch.after))
            wave = self.window(sound, max(0.0, start), end - start)
            return self._voice(fbank(torch.from_numpy(wave)))

        for done, vector in enumerate(self.parallel(embed, every), 1):
            file["hook"]("stretches", None, completed=done, total=len(every))
            yield vector


def masks(window: Bits, exclude_overlap: bool) -> Floats:
    """Choose the frames (frames, 3) for embeddings: those without overlap if they suffice."""
    if not exclude_overlap:
        return window.astype(np.float32)
    clean = window * (window.sum(axis=1, keepdims=True) == 1)
    enough = clean.sum(axis=0) * 10.0 / len(window) >= CLEAN_S
    return np.where(enough, clean, window).astype(np.float32)
