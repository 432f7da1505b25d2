"""pyannote.audio's diarization pipeline in bounded memory, and the clustering of voices that it uses with CAM++.

The pipeline's own steps stay: overlapping windows, local speakers, count of speakers per frame, embeddings, clusters,
reconstruction. What changes is where sound comes from (windows of a file, never the whole), how often a network
runs (on several threads of one core each, never on silence, once a window where pyannote runs it three times), and what
is held: 0 and 1 as bytes, sums per frame instead of an array of windows x frames x speakers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pyannote.audio.core.inference import Inference
from pyannote.audio.pipelines.clustering import BaseClustering, VBxClustering
from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization
from pyannote.core import Annotation, Segment, SlidingWindow, SlidingWindowFeature
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

from stt_lab.engines.campplus import CamPlusPlus, chosen, fbank
from stt_lab.types import SAMPLE_RATE, Audio

Floats = NDArray[np.float32]
Bits = NDArray[np.uint8]
Hook = Callable[..., None]
Item = TypeVar("Item")
Made = TypeVar("Made")

SILENCE = 4 / 32768  # peak of a window in which nobody can be heard
MAX_LINKED = 4000  # embeddings that are compared pairwise: 64 MB of distances
MIN_CLEAN_S = 0.5  # speech without overlap below which an embedding founds no cluster
THRESHOLD = 0.55  # mean cosine distance up to which two clusters are one voice
UNKNOWN = -2  # pyannote's mark for a local speaker without a cluster


class WindowedDiarization(SpeakerDiarization):  # type: ignore[misc]  # pyannote.audio is untyped
    """pyannote's pipeline over windows that are read from `file["sound"]`, an Audio, when they are needed.

    For models whose output is hard zeros and ones (powerset), as all since segmentation-3.0.
    """

    threads: int = 1
    batch: ClassVar[int] = 4  # windows of a forward pass: more are no faster on a CPU

    def get_segmentations(self, file: dict[str, Any], hook: Hook | None = None) -> SlidingWindowFeature:
        """Who of three local speakers speaks: (windows, frames, 3) bytes of 0 and 1."""
        duration, step = self._segmentation.duration, self._segmentation.step
        sound: Audio = file["sound"]
        windows = 1 + max(0, int(np.ceil((sound.samples / SAMPLE_RATE - duration) / step - 1e-9)))
        batches = [range(i, min(i + self.batch, windows)) for i in range(0, windows, self.batch)]

        def segment(numbers: range) -> Bits:
            waves = np.stack([self.window(sound, number * step) for number in numbers])[:, None]
            heard = np.abs(waves).max(axis=(1, 2)) > SILENCE
            found: Bits = self._segmentation.infer(torch.from_numpy(waves)).astype(np.uint8)
            return found * heard[:, None, None].astype(np.uint8)

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
        """A vector for each local speaker of each window: (windows, 3, dimension); NaN where nobody speaks."""
        sound: Audio = file["sound"]
        windows: Bits = binary_segmentations.data
        step = binary_segmentations.sliding_window.step
        found = np.full((*windows.shape[::2], self._embedding.dimension), np.nan, np.float32)
        busy = [i for i, window in enumerate(windows) if window.any()]

        def embed(number: int) -> Floats:
            return self.embed(self.window(sound, number * step), masks(windows[number], exclude_overlap))

        for done, (number, vectors) in enumerate(zip(busy, self.parallel(embed, busy), strict=True), 1):
            found[number] = vectors
            if hook is not None:
                hook("embeddings", None, completed=done, total=len(busy))
        return found

    def embed(self, wave: Floats, speaking: Floats) -> Floats:
        """(samples,) and (frames, 3) to (3, dimension). WeSpeaker's frames depend on sound alone: one pass serves all."""
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
        """Frames x speakers, 0 or 1: in every frame the `count` speakers whom most windows hear."""
        chunks, frames = segmentations.sliding_window, count.sliding_window
        votes = np.zeros((len(count), max(1, int(hard_clusters.max()) + 1)), np.float32)
        for number, (window, clusters) in enumerate(zip(segmentations.data, hard_clusters, strict=True)):
            first = frames.closest_frame(chunks.start + number * chunks.step + 0.5 * frames.duration)
            for cluster in set(clusters[clusters >= 0].tolist()):
                votes[first : first + len(window), cluster] += window[:, clusters == cluster].max(axis=1)
        rank = np.argsort(np.argsort(-votes, axis=1, kind="stable"), axis=1, kind="stable")
        speaking = (rank < count.data) & (votes > 0)
        return SlidingWindowFeature(speaking.astype(np.float32), frames)

    @staticmethod
    def window(sound: Audio, start: float, duration: float = 10.0) -> Floats:
        """Samples from `start` seconds on, with silence behind the end."""
        first, length = round(start * SAMPLE_RATE), round(duration * SAMPLE_RATE)
        wave = sound.read(first, first + length)
        return np.pad(wave, (0, length - len(wave)))

    def parallel(self, work: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        """Results in order, made on `threads` threads of one core each; leaving the loop leaves the rest undone.

        These networks are many small steps: two cores inside a step gain nothing, two steps at once nearly double.
        """
        pending: deque[Future[Made]] = deque()
        with ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                for item in items:
                    pending.append(pool.submit(work, item))
                    if len(pending) > 2 * self.threads:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)


class CampplusDiarization(WindowedDiarization):
    """The pipeline with CAM++, which must see one voice at a time, and with `VoiceClustering`."""

    def __init__(self, segmentation: Any, embedding: CamPlusPlus, plda: Any, step: float) -> None:
        super().__init__(
            segmentation=segmentation,
            segmentation_step=step,
            embedding=embedding,
            embedding_exclude_overlap=True,
            plda=plda,
            clustering="AgglomerativeClustering",
        )
        self.clustering = VoiceClustering()
        self.instantiate({"segmentation": {"min_duration_off": 0.0}})

    def embed(self, wave: Floats, speaking: Floats) -> Floats:
        model: CamPlusPlus = self._embedding.model_
        features = fbank(torch.from_numpy(wave))
        found = np.full((speaking.shape[1], model.dimension), np.nan, np.float32)
        with torch.inference_mode():
            for speaker, mask in enumerate(speaking.T):
                voice = features[chosen(torch.from_numpy(mask.copy()), len(features))]
                if len(voice) >= model.min_frames:
                    found[speaker] = model.embed(voice).cpu().numpy()
        return found


def masks(window: Bits, exclude_overlap: bool) -> Floats:
    """Frames (frames, 3) that an embedding is made of: those without overlap where they suffice."""
    if not exclude_overlap:
        return window.astype(np.float32)
    clean = window * (window.sum(axis=1, keepdims=True) == 1)
    enough = clean.sum(axis=0) * 10.0 / len(window) >= MIN_CLEAN_S
    return np.where(enough, clean, window).astype(np.float32)


class VoiceClustering(BaseClustering):  # type: ignore[misc]
    """Average linkage on cosine distance; the local speakers of a window go to different clusters."""

    expects_num_clusters = False

    def __call__(
        self,
        embeddings: Floats,
        segmentations: SlidingWindowFeature,
        num_clusters: int | None = None,
        **others: Any,
    ) -> tuple[NDArray[Any], None, Floats]:
        """Clusters of local speakers (windows, 3), and the clusters' centroids (clusters, dimension)."""
        seconds = clean_seconds(segmentations)
        usable = ~np.isnan(embeddings[..., 0])
        train = usable & (seconds >= MIN_CLEAN_S)
        if not train.any():
            train = usable
        if not train.any():  # somebody is heard, too briefly for any embedding: one speaker
            return np.zeros(usable.shape, np.int16), None, np.zeros((1, embeddings.shape[-1]), np.float32)
        chosen_ones = thin(np.flatnonzero(train), MAX_LINKED)
        voices = embeddings.reshape(-1, embeddings.shape[-1])[chosen_ones]
        centroids = self.centroids(voices, self.cluster(voices, num_clusters))
        return assign(embeddings, centroids), None, centroids

    def cluster(self, voices: Floats, clusters: int | None) -> NDArray[np.intp]:
        """A label for each voice (n, dimension), 0-based."""
        if len(voices) == 1:
            return np.zeros(1, np.intp)
        tree = linkage(voices, "average", "cosine")
        if clusters:
            return fcluster(tree, clusters, "maxclust") - 1
        return fcluster(tree, THRESHOLD, "distance") - 1

    def centroids(self, voices: Floats, labels: NDArray[np.intp]) -> Floats:
        means = np.stack([voices[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
        unit: Floats = means / np.linalg.norm(means, axis=1, keepdims=True)
        return unit


class BoundedVBxClustering(VBxClustering):  # type: ignore[misc]
    """pyannote's VBx on at most MAX_LINKED embeddings; the rest go to the nearest centroid, as short ones do."""

    def filter_embeddings(self, *args: Any, **kwargs: Any) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
        embeddings, chunks, speakers = super().filter_embeddings(*args, **kwargs)
        kept = thin(np.arange(len(embeddings)), MAX_LINKED)
        return embeddings[kept], chunks[kept], speakers[kept]


def thin(indices: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most `most` of the indices, evenly spread."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(np.intp)]


def clean_seconds(segmentations: SlidingWindowFeature) -> NDArray[np.float64]:
    """Seconds in which each local speaker speaks alone: (windows, 3)."""
    windows = segmentations.data
    seconds = segmentations.sliding_window.duration / windows.shape[1]
    found: NDArray[np.float64] = np.stack([(w * (w.sum(axis=1, keepdims=True) == 1)).sum(axis=0) for w in windows])
    return found * seconds


def assign(embeddings: Floats, centroids: Floats) -> NDArray[np.int16]:
    """The nearest centroid for every local speaker, each centroid once in a window (Hungarian method)."""
    clusters = np.full(embeddings.shape[:2], UNKNOWN, np.int16)
    for row, vectors in zip(clusters, embeddings, strict=True):
        known = np.flatnonzero(~np.isnan(vectors[:, 0]))
        if known.size:
            speakers, nearest = linear_sum_assignment(-(vectors[known] @ centroids.T))
            row[known[speakers]] = nearest
    return clusters
