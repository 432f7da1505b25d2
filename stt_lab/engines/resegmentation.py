"""Second step of the diarizer: embed each stretch in which one person speaks alone, and correct the clusters by them.

The first step embeds what one person says within a window of 10 s, as far as the segmentation tells people apart. It
often takes two similar voices for one there, and no clustering can part them again. A stretch ends at every pause and
change, so it rarely holds two voices. By its embeddings clusters are split, clusters of one voice are joined, and each
stretch goes to the speaker that it is most like. All settings were chosen by cross-validation over 48 made
conversations (eval/LOG.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

Floats = NDArray[np.float32]
Labels = NDArray[np.intp]

LONGEST_S = 3.0  # a longer stretch is divided evenly; no stretch weighs more in a centroid
SPLITTING_S = 1.0  # least length of a stretch that may split a cluster
SPLIT = 0.4  # likeness (cosine) of two halves of a cluster up to which they are two voices
SPLIT_S = 4.0  # least speech of each half
JOIN = 0.55  # likeness from which two clusters are one voice
JOIN_SCRAP = 0.35  # the same if one of them has less than SCRAP_S
SCRAP_S = 4.0
DOUBT = 0.2  # the larger, the more the first step's share in a stretch counts beside its likeness
LEAST_SHARE = 0.2  # added to the first step's shares, so that none forbids a speaker
ROUNDS = 2  # of assigning stretches and computing centroids again
MOST_LINKED = 4000  # embeddings compared pairwise: 64 MB of distances


@dataclass(frozen=True)
class Stretch:
    """Frames `first` to `after` (excluded), in which one person speaks alone, in the first step's view."""

    first: int
    after: int
    cluster: int


Embed = Callable[[Iterable[Stretch]], Iterator[Floats | None]]  # None: too short


def stretches(votes: Floats, count: NDArray[np.int_], frame_s: float) -> list[Stretch]:
    """Find stretches of one speaker in votes (frames, clusters) and the number of speakers per frame (frames,)."""
    labels = np.where(count == 1, votes.argmax(axis=1), -1)
    bounds = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    found = []
    for first, after in pairwise(bounds):
        if labels[first] >= 0:
            parts = max(1, int(np.ceil((after - first) * frame_s / LONGEST_S)))
            cuts = np.linspace(first, after, parts + 1).round().astype(int).tolist()
            found += [Stretch(a, b, int(labels[first])) for a, b in pairwise(cuts)]
    return found


def resegment(
    votes: Floats, count: NDArray[np.int_], frame_s: float, embed: Embed, requested_s: float | None = None
) -> tuple[Floats, Floats]:
    """Correct votes (frames, clusters). Return new votes (frames, speakers) and centroids (speakers, dimension).

    With `requested_s` the number of clusters is given: none is split, joined or left with less speech than that.
    """
    found = stretches(votes, count, frame_s)
    vectors = {number: vector for number, vector in enumerate(embed(found)) if vector is not None}
    if not vectors:
        return votes, np.ones((votes.shape[1], 1), np.float32)
    table = _Table(votes, found, vectors, frame_s)
    if requested_s is None:
        table.split()
        table.join()
    table.assign(requested_s or 0.0)
    return table.result()


class _Table:
    """Stretches and their speakers. Columns of votes are speakers; one that is joined to another has none left."""

    def __init__(self, votes: Floats, found: list[Stretch], vectors: dict[int, Floats], frame_s: float) -> None:
        self.votes, self.found = votes.copy(), found
        self.speakers = np.array([stretch.cluster for stretch in found])
        self.seconds = np.array([stretch.after - stretch.first for stretch in found]) * frame_s
        self.known = np.array(list(vectors))
        self.vectors = np.zeros((len(found), len(vectors[self.known[0]])), np.float32)
        for number, vector in vectors.items():
            self.vectors[number] = vector * min(float(self.seconds[number]), LONGEST_S)  # weighted by length
        self.here = np.ones(votes.shape[1], bool)  # speakers that are left

    def spoken(self) -> NDArray[np.float64]:
        """Seconds of each speaker's stretches."""
        return np.bincount(self.speakers, self.seconds, len(self.here)).astype(np.float64)

    def sums(self) -> Floats:
        """Sum of the weighted embeddings of each speaker: (speakers, dimension)."""
        made = np.zeros((len(self.here), self.vectors.shape[1]), np.float32)
        np.add.at(made, self.speakers, self.vectors)
        return made

    def split(self) -> None:
        """Split clusters whose stretches fall into two unlike halves, and the halves likewise."""
        speaker = 0
        while speaker < len(self.here):
            half = self._half(speaker)
            if half is None:
                speaker += 1
                continue
            self.speakers[half] = len(self.here)
            self.votes = np.c_[self.votes, self.votes[:, speaker] * (1 - 1e-4)]  # where it overlaps others: the first
            self.here = np.append(self.here, True)

    def _half(self, speaker: int) -> Labels | None:
        """Return the stretches of the smaller half of a cluster, if it is another voice."""
        own = self.known[(self.speakers[self.known] == speaker) & (self.seconds[self.known] >= SPLITTING_S)]
        own = thin(own, MOST_LINKED)
        if len(own) < 2:
            return None
        second = fcluster(linkage(self.vectors[own], "average", "cosine"), 2, "maxclust") == 2
        halves = sorted((own[second], own[~second]), key=lambda half: float(self.seconds[half].sum()))
        if self.seconds[halves[0]].sum() < SPLIT_S:
            return None
        smaller, larger = (unit(self.vectors[half].sum(axis=0)) for half in halves)
        return halves[0] if smaller @ larger <= SPLIT else None

    def join(self) -> None:
        """Join the two clusters whose likeness exceeds its limit most, until none does."""
        while True:
            spoken, centroids = self.spoken(), unit(self.sums())
            heard = self.here & (spoken > 0)
            scrap = np.minimum.outer(spoken, spoken) < SCRAP_S
            above = centroids @ centroids.T - np.where(scrap, JOIN_SCRAP, JOIN)
            above[~np.logical_and.outer(heard, heard) | np.eye(len(heard), dtype=bool)] = -np.inf
            first, second = np.unravel_index(above.argmax(), above.shape)
            if above[first, second] < 0:
                return
            gone, kept = sorted((int(first), int(second)), key=lambda speaker: float(spoken[speaker]))
            self.speakers[self.speakers == gone] = kept
            self.votes[:, kept] += self.votes[:, gone]
            self.votes[:, gone] = 0
            self.here[gone] = False

    def assign(self, least_s: float) -> None:
        """Give each stretch to the speaker it is most like. Its own part in a centroid does not count."""
        shares = np.stack([self.votes[stretch.first : stretch.after].mean(axis=0) for stretch in self.found])
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)
        before = self.speakers.copy()
        for _ in range(ROUNDS):
            sums, likeness = self.sums(), np.zeros_like(shares)
            for speaker in np.flatnonzero(self.here):
                others = sums[speaker] - self.vectors * (self.speakers == speaker)[:, None]
                alone = np.linalg.norm(others, axis=1, keepdims=True) < 1e-3
                likeness[:, speaker] = (unit(self.vectors) * unit(np.where(alone, sums[speaker], others))).sum(axis=1)
            scores = likeness / DOUBT + np.log(shares + LEAST_SHARE)
            scores[:, ~self.here] = -np.inf
            self.speakers[self.known] = scores[self.known].argmax(axis=1)
        for speaker in np.flatnonzero(self.here & (self.spoken() < least_s)):
            self.speakers[before == speaker] = speaker

    def result(self) -> tuple[Floats, Floats]:
        """Return votes in which each stretch's speaker wins, and centroids, of the speakers that are left."""
        most = self.votes.max() + 1
        for stretch, speaker in zip(self.found, self.speakers, strict=True):
            self.votes[stretch.first : stretch.after, speaker] += most
        return self.votes[:, self.here], unit(self.sums())[self.here]


def unit(vectors: Floats) -> Floats:
    """Scale vectors to length 1; those of length 0 stay."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return scaled


def thin(indices: Labels, most: int) -> Labels:
    """Return at most `most` of the indices, evenly spaced."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(np.intp)]
