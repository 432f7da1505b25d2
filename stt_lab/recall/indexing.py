"""Compute the vectors of a transcript's passages: once, in the background or on the first question."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from stt_lab.engines.pool import Pool
from stt_lab.errors import Cancelled, NotFound, SttError
from stt_lab.library import Library
from stt_lab.library.passages import IndexedPassages
from stt_lab.types import Event
from stt_lab.writing.passages import passages, said
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools

if TYPE_CHECKING:
    from stt_lab.store.passages import PendingTranscript

log = logging.getLogger(__name__)

AT_ONCE = 32  # passages per batch: a request waits for one batch at most
LOOK_S = 1.0  # seconds until a new transcript is noticed
REST_S = 60.0  # seconds to wait after a failure, or without an embedder
STOP_S = 1.0  # seconds for the engine to stop


def indexed(library: Library, tools: Tools, account_id: int, transcript_id: int) -> tuple[SourceText, IndexedPassages]:
    """Return a finished transcript and its passages with vectors; missing vectors are computed now."""
    waiting = library.passages.wanted(account_id, transcript_id)  # read before the text, which may change
    source = SourceText.of(library.transcript(account_id, transcript_id))
    found = library.passages.get(transcript_id)
    if found is not None and all(last < len(source.segments) for _, last in found.places):
        return source, found
    made = vectors_of(source, tools)
    if waiting is not None:
        library.passages.put(waiting, tools.embedder.id, made)
    return source, made


def vectors_of(source: SourceText, tools: Tools) -> IndexedPassages:
    """Return the passages of a text with their vectors."""
    import numpy as np

    found = passages(source)
    texts = [said(source, passage) for passage in found]
    vectors = [tools.embed(texts[first : first + AT_ONCE]) for first in range(0, len(texts), AT_ONCE)]
    places = tuple((passage.first, passage.last) for passage in found)
    return IndexedPassages(places, np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32))


class Indexer:
    """A thread that computes missing vectors, one transcript after the other.

    It works in the text lane, a few passages at a time: speech work never waits for it, and requests run in between.
    """

    def __init__(self, library: Library, pool: Pool) -> None:
        self._library, self._pool = library, pool
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="indexer", daemon=True)
        self._logged = ""  # last problem, logged once

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop; work in progress is repeated after the next start. Safe to call twice."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _work(self) -> None:
        pause, recovered = 0.0, False
        while not self._ending.wait(pause):
            try:
                if not recovered:
                    self._library.passages.recover()
                    recovered = True
                pause = self._step()
            except SttError as problem:
                pause = self._log_problem(str(problem))
            except Exception:
                if not self._ending.is_set():  # otherwise the database may already be closed
                    log.exception("the search index failed")
                pause = REST_S

    def _step(self) -> float:
        """Index the next transcript; return the seconds to wait before the one after it."""
        if next(self._pool.available("embed"), None) is None:
            return REST_S
        waiting = self._library.passages.claim()
        if waiting is None:
            return LOOK_S
        try:
            self.make(waiting)
        except NotFound:  # deleted meanwhile
            return 0.0
        except Cancelled:
            raise
        except Exception:
            self._library.passages.postpone(waiting)
            raise
        self._logged = ""
        return 0.0

    def make(self, waiting: PendingTranscript) -> None:
        """Compute and store the vectors of one transcript."""
        tools = Tools(self._pool, self._report)
        source = SourceText.of(self._library.transcript(waiting.account_id, waiting.transcript_id))
        made = vectors_of(source, tools)
        self._library.passages.put(waiting, tools.embedder.id, made)

    def _report(self, event: Event) -> None:
        if self._ending.is_set():
            raise Cancelled("The server is shutting down.")

    def _log_problem(self, problem: str) -> float:
        if problem != self._logged and not self._ending.is_set():
            log.warning("the search index waits: %s", problem)
        self._logged = problem
        return REST_S
