"""Find where a text changes its subject: Hearst 1997, "TextTiling", on sentence vectors instead of words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stt_lab.engines.protocols import Vectors

WINDOW = 120  # words compared on each side of a gap
LEAST = 90  # words per section, at least
HEAVY = 25  # words beyond which a sentence weighs no more


def cohesion(vectors: Vectors, words: Sequence[int]) -> NDArray[np.float32]:
    """Return the cosine between the words before and after each gap between sentences; shape (sentences - 1,)."""
    counts = np.asarray(words)
    weighted = vectors * np.minimum(counts, HEAVY)[:, None]
    total = np.vstack([np.zeros_like(weighted[:1]), weighted.cumsum(axis=0)])
    position = np.concatenate([[0], counts.cumsum()])  # words before each sentence
    gaps = np.arange(1, len(vectors))
    first = np.minimum(np.searchsorted(position, position[gaps] - WINDOW), gaps - 1)
    last = np.maximum(np.searchsorted(position, position[gaps] + WINDOW, side="right") - 1, gaps + 1)
    left, right = total[gaps] - total[first], total[last] - total[gaps]
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    made: NDArray[np.float32] = ((left * right).sum(axis=1) / np.maximum(norms, 1e-9)).astype(np.float32)
    return made


def depths(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far each gap lies below the nearest peaks on both sides."""
    made = np.zeros_like(values)
    for place, value in enumerate(values):
        made[place] = _height(values[place::-1]) + _height(values[place:]) - 2 * value
    return made


def _height(values: NDArray[np.float32]) -> float:
    """Return the first peak on the way up from the first value."""
    falls = np.flatnonzero(np.diff(values) < 0)
    return float(values[falls[0]] if len(falls) else values[-1])


def sections(vectors: Vectors, words: Sequence[int], most: int | None = None) -> tuple[range, ...]:
    """Return ranges of sentences on one subject, at most `most`. They cover all sentences; () without sentences."""
    if len(vectors) == 0:
        return ()
    starts = [0, *_starts(vectors, words, most), len(vectors)]
    return tuple(range(start, end) for start, end in pairwise(starts))


def _starts(vectors: Vectors, words: Sequence[int], most: int | None) -> list[int]:
    """Return the sentences that begin a new subject: deepest gaps first, none too close to another."""
    if len(vectors) < 3:
        return []
    depth = depths(cohesion(vectors, words))
    position = np.concatenate([[0], np.cumsum(words)])
    limit = depth.mean() + depth.std() / 2  # the threshold of Hearst
    chosen: list[int] = []
    for gap in np.argsort(-depth, kind="stable"):
        if depth[gap] <= limit or (most is not None and len(chosen) + 1 >= most):
            break
        start = int(gap) + 1
        if all(abs(position[start] - position[other]) >= LEAST for other in (0, *chosen, len(vectors))):
            chosen.append(start)
    return sorted(chosen)
