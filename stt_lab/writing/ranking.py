"""Rank vectors by centrality, and choose a varied subset. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stt_lab.engines.protocols import Vectors

    Scores = NDArray[np.float32]  # one per vector, 0 to 1

NEAR = 0.25  # least cosine of two sentences on the same subject
BLOCK = 1024  # rows of the similarity matrix in memory at once


def centrality(vectors: Vectors) -> Scores:
    """Return the centrality of each vector, scaled to at most 1: the degrees of the graph of similar sentences.

    Erkan and Radev 2004, "LexRank": degrees do as well as the random walk, and need no matrix in memory.
    """
    degrees = np.zeros(len(vectors), np.float32)
    for start in range(0, len(vectors), BLOCK):
        near = vectors[start : start + BLOCK] @ vectors.T
        degrees[start : start + BLOCK] = np.maximum(near - NEAR, 0).sum(axis=1) - (
            1 - NEAR
        )  # minus its similarity to itself
    return scaled(degrees)


def scaled(values: Scores) -> Scores:
    """Scale values so that the largest is 1; negative ones become 0."""
    positive = np.maximum(values, 0)
    largest = positive.max(initial=0.0)
    return positive / largest if largest > 0 else positive


def varied(scores: Scores, vectors: Vectors, most: int, balance: float = 0.8) -> list[int]:
    """Return positions of the best scores, best first; vectors similar to a chosen one rank lower. A score of 0 is
    never chosen.

    Carbonell and Goldstein 1998, "MMR": `balance` 1 considers scores alone, 0 variety alone.
    """
    chosen: list[int] = []
    nearest = np.zeros(len(scores), np.float32)  # cosine to the closest chosen one
    open_ = np.array(scores) > 0
    while len(chosen) < most and open_.any():
        values = np.where(open_, balance * scores - (1 - balance) * nearest, -np.inf)
        best = int(values.argmax())
        chosen.append(best)
        open_[best] = False
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return chosen
