"""Vectors of the passages of transcripts: made once for each, in the background, or when a question comes first."""

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

AT_ONCE = 32  # passages: a request that comes meanwhile waits for so many
LOOK_S = 1.0  # how soon a new transcript is noticed
REST_S = 60.0  # after a failure, and where no embedder is
STOP_S = 1.0  # for the engine to notice that the server ends


def indexed(library: Library, tools: Tools, account_id: int, transcript_id: int) -> tuple[SourceText, IndexedPassages]:
    """A transcript that is done, and its passages; those are made now when that is still to come."""
    waiting = library.passages.wanted(account_id, transcript_id)  # before the text, which may change
    source = SourceText.of(library.transcript(account_id, transcript_id))
    found = library.passages.get(transcript_id)
    if found is not None and all(last < len(source.segments) for _, last in found.places):
        return source, found
    made = vectors_of(source, tools)
    if waiting is not None:
        library.passages.put(waiting, tools.embedder.id, made)
    return source, made


def vectors_of(source: SourceText, tools: Tools) -> IndexedPassages:
    """The passages of a text with their vectors."""
    import numpy as np

    found = passages(source)
    texts = [said(source, passage) for passage in found]
    vectors = [tools.embed(texts[first : first + AT_ONCE]) for first in range(0, len(texts), AT_ONCE)]
    places = tuple((passage.first, passage.last) for passage in found)
    return IndexedPassages(places, np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32))


class Indexer:
    """A thread that makes what is still to be made, one transcript after the other.

    It works in the text lane, some passages at a time: sound is never waited for, and requests go in between.
    """

    def __init__(self, library: Library, pool: Pool) -> None:
        self._library, self._pool = library, pool
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="indexer", daemon=True)
        self._said = ""  # the last trouble, which is told once

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """What is under way is given up, and made at the next start. Harmless when repeated."""
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
                pause = self._tell(str(problem))
            except Exception:
                if not self._ending.is_set():  # else the database may be closed by now
                    log.exception("the index by meaning stumbled")
                pause = REST_S

    def _step(self) -> float:
        """Make the next one; seconds to wait before the one after it."""
        if next(self._pool.available("embed"), None) is None:
            return REST_S
        waiting = self._library.passages.claim()
        if waiting is None:
            return LOOK_S
        try:
            self.make(waiting)
        except NotFound:  # it was deleted meanwhile
            return 0.0
        except Cancelled:
            raise
        except Exception:
            self._library.passages.postpone(waiting)
            raise
        self._said = ""
        return 0.0

    def make(self, waiting: PendingTranscript) -> None:
        """The vectors of one transcript."""
        tools = Tools(self._pool, self._report)
        source = SourceText.of(self._library.transcript(waiting.account_id, waiting.transcript_id))
        made = vectors_of(source, tools)
        self._library.passages.put(waiting, tools.embedder.id, made)

    def _report(self, event: Event) -> None:
        if self._ending.is_set():
            raise Cancelled("The server is ending.")

    def _tell(self, problem: str) -> float:
        if problem != self._said and not self._ending.is_set():
            log.warning("the index by meaning waits: %s", problem)
        self._said = problem
        return REST_S
