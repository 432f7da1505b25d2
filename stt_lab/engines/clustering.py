"""Run pyannote.audio's diarization pipeline in bounded memory, and cluster voices for it with CAM++.

The steps stay pyannote's: overlapping windows, local speakers, number of speakers per frame, embeddings, clusters,
reconstruction. Three things differ. Sound is read as windows of a file, never as a whole. Networks run on several
threads of one core each, never on silence, and once per window where pyannote runs three times. Memory holds 0 and 1 as
bytes, and sums per frame instead of an array of windows x frames x speakers.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
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

SILENCE = 4 / 32768  # peak amplitude of a silent window
MAX_LINKED = 4000  # embeddings compared pairwise: 64 MB of distances
CLEAN_S = 0.5  # non-overlapped speech that suffices for an embedding; with less, overlapped speech is used too

# Chosen by cross-validation over 48 made conversations; they change nothing on AMI and conv_dev (eval/LOG.md).
MIN_CLEAN_S = 0.3  # non-overlapped speech that an embedding needs to start a cluster
THRESHOLD = 0.45  # mean cosine distance up to which two clusters are one voice
SCRAP_THRESHOLD = 0.60  # the same if one of them is a scrap
SCRAP_S = 6.0  # speech below which a cluster is a scrap
SAME_VOICE = 0.2  # distance below which clusters stay joined, however many speakers are requested
MIN_SPEAKER_S = 0.5  # least speech of a speaker
REQUESTED_S = 1.0  # the same where the number of speakers is given
SPARE_CLUSTERS = 8  # clusters tried beyond the requested number, because scraps are clusters too
ASSIGNED_BONUS = 0.2  # added to shares that sum to 1 (equal from 0.05 to 0.4)
UNKNOWN = -2  # pyannote's mark for a local speaker without a cluster


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
        busy = [i for i, window in enumerate(windows) if window.any()]

        def embed(number: int) -> Floats:
            return self.embed(self.window(sound, number * step), masks(windows[number], exclude_overlap))

        for done, (number, vectors) in enumerate(zip(busy, self.parallel(embed, busy), strict=True), 1):
            found[number] = vectors
            if hook is not None:
                hook("embeddings", None, completed=done, total=len(busy))
        return found

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
        return SlidingWindowFeature(timeline(segmentations, shares, count), count.sliding_window)

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
        self.clustering = VoiceClustering()
        self.instantiate({"segmentation": {"min_duration_off": 0.0}})

    def reconstruct(
        self, segmentations: SlidingWindowFeature, hard_clusters: NDArray[Any], count: SlidingWindowFeature
    ) -> SlidingWindowFeature:
        return SlidingWindowFeature(timeline(segmentations, self.clustering.shares, count), count.sliding_window)

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
    """Choose the frames (frames, 3) for embeddings: those without overlap if they suffice."""
    if not exclude_overlap:
        return window.astype(np.float32)
    clean = window * (window.sum(axis=1, keepdims=True) == 1)
    enough = clean.sum(axis=0) * 10.0 / len(window) >= CLEAN_S
    return np.where(enough, clean, window).astype(np.float32)


class VoiceClustering(BaseClustering):  # type: ignore[misc]
    """Clusters by average linkage on cosine distance, then divides every local speaker among the clusters.

    `shares` (windows, 3, clusters) holds the division of this thread's last call: squared similarity, plus a bonus for
    the best cluster that no other local speaker of the window takes. So a local speaker that mixes two voices cannot
    outvote others.
    """

    expects_num_clusters = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last = threading.local()  # one per thread, because recordings take turns in threads

    @property
    def shares(self) -> Floats:
        found: Floats = self._last.shares
        return found

    def __call__(
        self,
        embeddings: Floats,
        segmentations: SlidingWindowFeature,
        frames: SlidingWindow,
        num_clusters: int | None = None,
        **others: Any,
    ) -> tuple[NDArray[np.int16], Floats, Floats]:
        """Return clusters of local speakers (windows, 3), their shares, and centroids (clusters, dimension)."""
        count = SpeakerDiarization.speaker_count(segmentations, frames, warm_up=(0.0, 0.0))
        best = np.zeros((0, embeddings.shape[-1]), np.float32)
        for founded in candidates(embeddings, segmentations, num_clusters):
            least = MIN_SPEAKER_S if num_clusters is None else REQUESTED_S
            centroids = audible(founded, embeddings, segmentations, count, least)
            if len(best) < len(centroids) <= (num_clusters or len(centroids)):
                best = centroids
            if len(best) == (num_clusters or len(best)):
                break
        clusters, self._last.shares = share(embeddings, best)
        return clusters, self.shares, best


class BoundedVBxClustering(VBxClustering):  # type: ignore[misc]
    """pyannote's VBx on at most MAX_LINKED embeddings; others go to the nearest centroid, like short ones."""

    def filter_embeddings(self, *args: Any, **kwargs: Any) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
        embeddings, chunks, speakers = super().filter_embeddings(*args, **kwargs)
        kept = thin(np.arange(len(embeddings)), MAX_LINKED)
        return embeddings[kept], chunks[kept], speakers[kept]


def thin(indices: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return at most `most` of the indices, evenly spaced."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(np.intp)]


def clean_seconds(segmentations: SlidingWindowFeature) -> NDArray[np.float64]:
    """Return the seconds in which each local speaker speaks alone: (windows, 3)."""
    windows: Bits = segmentations.data
    clean = np.stack([window[window.sum(axis=1) == 1].sum(axis=0) for window in windows])
    seconds: float = segmentations.sliding_window.duration / windows.shape[1]
    return clean * seconds


def candidates(embeddings: Floats, segmentations: SlidingWindowFeature, clusters: int | None) -> Iterator[Floats]:
    """Yield centroids (clusters, dimension) by the thresholds; then for `clusters` clusters, if given, and a few more.

    Only embeddings of enough speech start a cluster.
    """
    seconds = clean_seconds(segmentations)
    heard = ~np.isnan(embeddings[..., 0])
    enough = heard & (seconds >= MIN_CLEAN_S)
    kept = thin(np.flatnonzero(enough if enough.any() else heard), MAX_LINKED)
    voices = embeddings.reshape(-1, embeddings.shape[-1])[kept]
    if len(voices) < 2:  # empty: too short for any embedding
        yield voices if len(voices) else np.ones((1, embeddings.shape[-1]), np.float32)
        return
    tree = linkage(voices, "average", "cosine")
    window = segmentations.sliding_window  # each second is in several windows
    yield means(voices, cut(tree, seconds.flat[kept] * window.step / window.duration))
    if clusters is None:
        return
    for number in range(clusters, clusters + SPARE_CLUSTERS + 1):
        height = tree[-number, 2] * (1 + 1e-9) if number <= len(tree) else 0.0
        yield means(voices, fcluster(tree, max(SAME_VOICE, height), "distance") - 1)
        if height < SAME_VOICE:
            return


def means(voices: Floats, labels: NDArray[np.intp]) -> Floats:
    """Return unit vectors (clusters, dimension) at the centre of each cluster."""
    sums = np.stack([voices[labels == label].sum(axis=0) for label in range(labels.max() + 1)])
    unit: Floats = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return unit


def audible(
    centroids: Floats, embeddings: Floats, windows: SlidingWindowFeature, count: SlidingWindowFeature, least: float
) -> Floats:
    """Drop centroids with less than `least` seconds of assigned speech, which then goes to the others."""
    while len(centroids) > 1:
        _, shares = share(embeddings, centroids)
        seconds = timeline(windows, shares, count).sum(axis=0) * count.sliding_window.step
        if seconds.min() >= least:
            break
        centroids = np.delete(centroids, seconds.argmin(), axis=0)
    return centroids


def cut(tree: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.intp]:
    """Cut a dendrogram of voices (n - 1, 4) into labels. Scraps are joined up to a larger distance than others."""
    leaves = len(seconds)
    sizes, whole = [*seconds.tolist()], [True] * leaves
    members = [[leaf] for leaf in range(leaves)]
    labels = np.arange(leaves)
    for left, right, height, _ in tree.tolist():
        a, b = int(left), int(right)
        limit = THRESHOLD if min(sizes[a], sizes[b]) >= SCRAP_S else SCRAP_THRESHOLD
        whole.append(whole[a] and whole[b] and height <= limit)
        sizes.append(sizes[a] + sizes[b])
        members.append(members[a] + members[b])
        if whole[-1]:
            labels[members[-1]] = labels[members[a][0]]
    return np.unique(labels, return_inverse=True)[1]


def share(embeddings: Floats, centroids: Floats) -> tuple[NDArray[np.int16], Floats]:
    """Assign local speakers to distinct clusters per window (Hungarian method). Return clusters and shares."""
    clusters = np.full(embeddings.shape[:2], UNKNOWN, np.int16)
    shares = np.zeros((*embeddings.shape[:2], len(centroids)), np.float32)
    for window, vectors in enumerate(embeddings):
        known = np.flatnonzero(~np.isnan(vectors[:, 0]))
        likeness = vectors[known] @ centroids.T
        speakers, best = linear_sum_assignment(-likeness)
        clusters[window, known[speakers]] = best
        squares = np.maximum(likeness, 0) ** 2
        shares[window, known] = squares / np.maximum(squares.sum(axis=1, keepdims=True), 1e-3)
        shares[window, known[speakers], best] += ASSIGNED_BONUS
    return clusters, shares


def timeline(segmentations: SlidingWindowFeature, shares: Floats, count: SlidingWindowFeature) -> Floats:
    """Choose the `count` speakers of each frame with the largest sums of shares: (frames, speakers) of 0 and 1."""
    chunks, frames = segmentations.sliding_window, count.sliding_window
    votes = np.zeros((len(count), shares.shape[-1]), np.float32)
    for number, (window, share_of) in enumerate(zip(segmentations.data, shares, strict=True)):
        first = frames.closest_frame(chunks.start + number * chunks.step + 0.5 * frames.duration)
        votes[first : first + len(window)] += window @ share_of
    rank = np.argsort(np.argsort(-votes, axis=1, kind="stable"), axis=1, kind="stable")
    speaking: Floats = ((rank < count.data) & (votes > 0)).astype(np.float32)
    return speaking
