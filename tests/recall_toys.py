"""A library with an embedder that knows four topics, for the tests of what it is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stt_lab.errors import ModelMissing
from stt_lab.library import Library
from stt_lab.recall.indexing import Indexer
from stt_lab.store.database import Database
from stt_lab.store.models import ADMINISTRATOR_ID, ANONYMOUS_ID
from stt_lab.types import Segment, Transcript, silent
from stt_lab.writing.tools import Tools

OWNER, OTHER = ADMINISTRATOR_ID, ANONYMOUS_ID
TOPICS = ("cat", "ship", "bread", "money")  # what a text is about, for the toy


class ToyPool:
    """An embedder that knows four topics; `broken` says what it raises."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.broken: Exception | None = None
        self.here = True

    def available(self, task: str) -> Iterator[Any]:
        return iter([SimpleNamespace(id="toy")] if self.here and task == "embed" else [])

    def best(self, task: str) -> Any:
        if not self.here:
            raise ModelMissing("No model that can embed is here.")
        return SimpleNamespace(id="toy")

    def work(self, model: Any, method: str, report: Any, *, texts: tuple[str, ...]) -> Any:
        if self.broken is not None:
            raise self.broken
        self.calls.append(texts)
        counts = [[text.lower().count(topic) for topic in TOPICS] for text in texts]
        found = np.array([[not any(row), *row] for row in counts], np.float32)  # the first one is of all else
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(name="pool")
def pool_fixture() -> ToyPool:
    return ToyPool()


@pytest.fixture(name="tools")
def tools_fixture(pool: ToyPool) -> Tools:
    return Tools(pool, silent)  # type: ignore[arg-type]


@pytest.fixture(name="library")
def library_fixture(database: Database, tmp_path: Path) -> Library:
    return Library(database, tmp_path)


@pytest.fixture(name="store")
def store_fixture(database: Database, library: Library) -> Callable[..., int]:
    def put(lines: Sequence[str], account: int = OWNER, title: str = "Talk") -> int:
        with database.write() as session:
            number = library.open(session, account, title)
            library.complete(session, number, spoken(lines))
        return number

    return put


def spoken(lines: Sequence[str], speakers: Sequence[str] = ("Speaker 1", "Speaker 2")) -> Transcript:
    named = [(i, line, speakers[i % len(speakers)]) for i, line in enumerate(lines)]
    segments = tuple(Segment(i, i + 1, line, (), who) for i, line, who in named)
    return Transcript("en", float(len(lines)), segments, tuple(dict.fromkeys(who for _, _, who in named)), "base")


def work_off(library: Library, pool: ToyPool) -> int:
    """Make all that is wanted; how many there were."""
    indexer, count = Indexer(library, pool), 0  # type: ignore[arg-type]
    while waiting := library.passages.claim():
        indexer.make(waiting)
        count += 1
    return count


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)
