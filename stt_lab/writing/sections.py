"""Where a text turns to another subject: Hearst 1997, "TextTiling", on vectors of sentences instead of words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stt_lab.engines.protocols import Vectors

WINDOW = 120  # words on each side of a gap that are compared
LEAST = 90  # words of a section
HEAVY = 25  # words from which a longer sentence counts no more


def cohesion(vectors: Vectors, words: Sequence[int]) -> NDArray[np.float32]:
    """How alike the words before and after each gap between two sentences are: cosines; shape (sentences - 1,)."""
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
    """How far each gap lies below the nearest heights on both sides of it."""
    made = np.zeros_like(values)
    for place, value in enumerate(values):
        made[place] = _height(values[place::-1]) + _height(values[place:]) - 2 * value
    return made


def _height(values: NDArray[np.float32]) -> float:
    """The first height on the way up from the first value."""
    falls = np.flatnonzero(np.diff(values) < 0)
    return float(values[falls[0]] if len(falls) else values[-1])


def sections(vectors: Vectors, words: Sequence[int], most: int | None = None) -> tuple[range, ...]:
    """The sentences in stretches of one subject, at most so many. All of them are in one; none are ()."""
    if len(vectors) == 0:
        return ()
    starts = [0, *_starts(vectors, words, most), len(vectors)]
    return tuple(range(start, end) for start, end in pairwise(starts))


def _starts(vectors: Vectors, words: Sequence[int], most: int | None) -> list[int]:
    """Sentences with which a new subject begins: deepest gaps first, none too near another."""
    if len(vectors) < 3:
        return []
    depth = depths(cohesion(vectors, words))
    position = np.concatenate([[0], np.cumsum(words)])
    limit = depth.mean() + depth.std() / 2  # as Hearst
    chosen: list[int] = []
    for gap in np.argsort(-depth, kind="stable"):
        if depth[gap] <= limit or (most is not None and len(chosen) + 1 >= most):
            break
        start = int(gap) + 1
        if all(abs(position[start] - position[other]) >= LEAST for other in (0, *chosen, len(vectors))):
            chosen.append(start)
    return sorted(chosen)
