"""Notice that a decoder says again what it has said. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def repeats(said: Sequence[object], size: int) -> bool:
    """Return whether at least `size` items come twice in a row."""
    return any(
        said[at : at + length] == said[at + length : at + 2 * length]
        for length in range(size, len(said) // 2 + 1)
        for at in range(len(said) - 2 * length + 1)
    )
