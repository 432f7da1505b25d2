"""What a change of a transcript replaced, packed small: enough to make the revision before it, exactly. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SEGMENT = ("start", "end", "speaker", "text", "words")  # columns of a segment
SegmentValues = dict[str, Any]  # by column


@dataclass(frozen=True)
class Replaced:
    """Segments of an older revision, and the positions first to before stop in the newer one that they give way to."""

    first: int
    stop: int
    rows: tuple[SegmentValues, ...]


@dataclass(frozen=True)
class Undo:
    """The older values of what a change replaced."""

    columns: Mapping[str, Any]  # of the transcript's row
    replaced: tuple[Replaced, ...]  # in order


def compare(old: Sequence[SegmentValues], new: Sequence[SegmentValues]) -> Iterator[tuple[int, int, int, int]]:
    """Yield where two lists differ: first and stop in the old one, first and stop in the new one.

    What has not changed is the same object in both; one that moved before another counts as changed.
    """
    places = {id(row): i for i, row in enumerate(old)}
    kept: list[tuple[int, int]] = []
    for j, row in enumerate(new):
        i = places.get(id(row), -1)
        if i > (kept[-1][0] if kept else -1):
            kept.append((i, j))
    i = j = 0
    for a, b in [*kept, (len(old), len(new))]:
        if (a, b) != (i, j) and list(old[i:a]) != list(new[j:b]):
            yield i, a, j, b
        i, j = a + 1, b + 1


def pack(undo: Undo) -> bytes:
    rows = [[one.first, one.stop, [[row[name] for name in SEGMENT] for row in one.rows]] for one in undo.replaced]
    made = json.dumps([dict(undo.columns), rows], ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(made.encode("utf-8", "surrogatepass"))


def unpack(packed: bytes) -> Undo:
    columns, replaced = json.loads(zlib.decompress(packed).decode("utf-8", "surrogatepass"))
    made = (
        Replaced(first, stop, tuple(dict(zip(SEGMENT, row, strict=True)) for row in rows))
        for first, stop, rows in replaced
    )
    return Undo(columns, tuple(made))


def undone(rows: list[SegmentValues], undo: Undo) -> list[SegmentValues]:
    """Return the segments of the revision before; those that did not change are the same objects."""
    made = list(rows)
    for one in reversed(undo.replaced):
        made[one.first : one.stop] = one.rows
    return made
