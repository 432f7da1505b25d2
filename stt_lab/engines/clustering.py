"""Find how many voices there are, and which: the clustering of the diarizer, for CAM++ and for pyannote's VBx."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyannote.audio.pipelines.clustering import BaseClustering, VBxClustering
from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization
from pyannote.core import SlidingWindow, SlidingWindowFeature
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

from stt_lab.engines.resegmentation import MOST_LINKED, Floats, Labels, Stretch, resegment, thin, unit

EmbedStretches = Callable[[Iterable[Stretch], SlidingWindow, dict[str, Any]], Iterator["Floats | None"]]

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


class VoiceClustering(BaseClustering):  # type: ignore[misc]
    """Clusters by average linkage on cosine distance, divides every local speaker among them, and scores stretches.

    A share is squared similarity, plus a bonus for the best cluster that no other local speaker of the window takes. So
    a local speaker that mixes two voices cannot outvote others. `votes` (frames, speakers) of this thread's last call
    are sums of shares, corrected by stretches.
    """

    expects_num_clusters = False

    def __init__(self, embed: EmbedStretches) -> None:
        super().__init__()
        self._embed = embed
        self._last = threading.local()  # one per thread, because recordings take turns in threads

    @property
    def votes(self) -> Floats:
        found: Floats = self._last.votes
        return found

    def __call__(
        self,
        embeddings: Floats,
        segmentations: SlidingWindowFeature,
        frames: SlidingWindow,
        num_clusters: int | None = None,
        *,
        file: dict[str, Any],
        **others: Any,
    ) -> tuple[NDArray[np.int16], Floats, Floats]:
        """Return clusters of local speakers (windows, 3), their shares, and centroids (speakers, dimension)."""
        requested = None if num_clusters is None else REQUESTED_S
        count = SpeakerDiarization.speaker_count(segmentations, frames, warm_up=(0.0, 0.0))
        best = np.zeros((0, embeddings.shape[-1]), np.float32)
        for founded in candidates(embeddings, segmentations, num_clusters):
            centroids = audible(founded, embeddings, segmentations, count, requested or MIN_SPEAKER_S)
            if len(best) < len(centroids) <= (num_clusters or len(centroids)):
                best = centroids
            if len(best) == (num_clusters or len(best)):
                break
        clusters, shares = share(embeddings, best)

        def embed(found: Iterable[Stretch]) -> Iterator[Floats | None]:
            return self._embed(found, frames, file)

        votes = tally(segmentations, shares, count)
        self._last.votes, centroids = resegment(votes, count.data[:, 0], frames.step, embed, requested)
        return clusters, shares, centroids


class BoundedVBxClustering(VBxClustering):  # type: ignore[misc]
    """pyannote's VBx on at most MOST_LINKED embeddings; others go to the nearest centroid, like short ones."""

    def filter_embeddings(self, *args: Any, **kwargs: Any) -> tuple[Floats, Labels, Labels]:
        embeddings, chunks, speakers = super().filter_embeddings(*args, **kwargs)
        kept = thin(np.arange(len(embeddings)), MOST_LINKED)
        return embeddings[kept], chunks[kept], speakers[kept]


def clean_seconds(segmentations: SlidingWindowFeature) -> NDArray[np.float64]:
    """Return the seconds in which each local speaker speaks alone: (windows, 3)."""
    windows: NDArray[np.uint8] = segmentations.data
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
    kept = thin(np.flatnonzero(enough if enough.any() else heard), MOST_LINKED)
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


def means(voices: Floats, labels: Labels) -> Floats:
    """Return unit vectors (clusters, dimension) at the centre of each cluster."""
    sums = np.stack([voices[labels == label].sum(axis=0) for label in range(labels.max() + 1)])
    return unit(sums)


def audible(
    centroids: Floats, embeddings: Floats, windows: SlidingWindowFeature, count: SlidingWindowFeature, least: float
) -> Floats:
    """Drop centroids with less than `least` seconds of assigned speech, which then goes to the others."""
    while len(centroids) > 1:
        _, shares = share(embeddings, centroids)
        seconds = loudest(tally(windows, shares, count), count).sum(axis=0) * count.sliding_window.step
        if seconds.min() >= least:
            break
        centroids = np.delete(centroids, seconds.argmin(), axis=0)
    return centroids


def cut(tree: NDArray[np.float64], seconds: NDArray[np.float64]) -> Labels:
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


def tally(segmentations: SlidingWindowFeature, shares: Floats, count: SlidingWindowFeature) -> Floats:
    """Sum the shares of the local speakers that speak in each frame: (frames, clusters)."""
    chunks, frames = segmentations.sliding_window, count.sliding_window
    votes = np.zeros((len(count), shares.shape[-1]), np.float32)
    for number, (window, share_of) in enumerate(zip(segmentations.data, shares, strict=True)):
        first = frames.closest_frame(chunks.start + number * chunks.step + 0.5 * frames.duration)
        votes[first : first + len(window)] += window @ share_of
    return votes


def loudest(votes: Floats, count: SlidingWindowFeature) -> Floats:
    """Choose the `count` speakers of each frame with the most votes: (frames, speakers) of 0 and 1."""
    rank = np.argsort(np.argsort(-votes, axis=1, kind="stable"), axis=1, kind="stable")
    speaking: Floats = ((rank < count.data) & (votes > 0)).astype(np.float32)
    return speaking
