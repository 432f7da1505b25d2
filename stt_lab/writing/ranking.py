"""Which of many vectors say most: how central each is, and a choice that does not say the same twice. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stt_lab.engines.protocols import Vectors

    Scores = NDArray[np.float32]  # one each, 0 to 1

NEAR = 0.25  # cosine from which two sentences speak of the same
BLOCK = 1024  # rows of similarities that are held at once


def centrality(vectors: Vectors) -> Scores:
    """How much each has to do with all others, the most central 1: degrees of the graph of similar sentences.

    Erkan and Radev 2004, "LexRank", whose degrees do as well as its random walk and need no matrix in memory.
    """
    degrees = np.zeros(len(vectors), np.float32)
    for start in range(0, len(vectors), BLOCK):
        near = vectors[start : start + BLOCK] @ vectors.T
        degrees[start : start + BLOCK] = np.maximum(near - NEAR, 0).sum(axis=1) - (1 - NEAR)  # without itself
    return scaled(degrees)


def scaled(values: Scores) -> Scores:
    """Linearly, so that the largest is 1; what is negative is 0."""
    positive = np.maximum(values, 0)
    largest = positive.max(initial=0.0)
    return positive / largest if largest > 0 else positive


def varied(scores: Scores, vectors: Vectors, most: int, balance: float = 0.8) -> list[int]:
    """Positions of the best, best first; what resembles a chosen one counts less. 0 is never chosen.

    Carbonell and Goldstein 1998, "MMR": `balance` of 1 looks at scores alone, of 0 at variety alone.
    """
    chosen: list[int] = []
    nearest = np.zeros(len(scores), np.float32)  # cosine to the nearest chosen one
    open_ = np.array(scores) > 0
    while len(chosen) < most and open_.any():
        values = np.where(open_, balance * scores - (1 - balance) * nearest, -np.inf)
        best = int(values.argmax())
        chosen.append(best)
        open_[best] = False
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return chosen
