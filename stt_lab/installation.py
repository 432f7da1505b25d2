"""An installation: everything that serves one data directory."""

from __future__ import annotations

from dataclasses import dataclass

from stt_lab.accounts.access import Access
from stt_lab.jobs import JobQueue
from stt_lab.lab.runs.evaluations import Evaluations
from stt_lab.recall.indexing import Indexer
from stt_lab.runtime import Runtime
from stt_lab.scratch import Scratch
from stt_lab.settings import Settings


@dataclass(frozen=True)
class Installation:
    """The parts that serve requests. `stt_lab.server.compose` makes it; surfaces and tests pass it on."""

    settings: Settings
    scratch: Scratch
    runtime: Runtime
    access: Access
    jobs: JobQueue  # the gate of every request
    indexer: Indexer
    lab: Evaluations

    def start(self) -> None:
        """Start to work on jobs."""
        self.jobs.start()
        self.indexer.start()

    def stop(self) -> None:
        """End all work: jobs go back to the queue, evaluations can be resumed, requests in flight end with an error.

        Harmless when repeated.
        """
        self.lab.stop()  # it continues to end while the others do
        self.indexer.close()
        self.jobs.close()
        self.lab.close()
        self.runtime.close()

    def close(self) -> None:
        """Stop, and release the data directory for another server."""
        self.stop()
        self.scratch.release()
