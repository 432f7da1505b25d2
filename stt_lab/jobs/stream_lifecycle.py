"""Run each step of a live stream as one transaction, like those of other jobs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from stt_lab.errors import Cancelled, NotFound
from stt_lab.jobs.lifecycle import JobLifecycle, LostClaim
from stt_lab.store import queue
from stt_lab.store.queue import JobRow
from stt_lab.streaming.kept_streams import KeptStream

LIVE = "live_"  # prefix of ids of streams
DELETED = "The transcript was deleted while it was made."


class StreamLifecycle(JobLifecycle):
    """The steps of jobs and of streams."""

    def release(self, row: JobRow, *, on_purpose: bool = False) -> None:
        """Release a claimed job that no server works on. A stream ends with what is final: it cannot be run again."""
        if not row.id.startswith(LIVE):
            return super().release(row, on_purpose=on_purpose)
        with suppress(LostClaim):
            self._recover(row)

    def begin_stream(self, row: JobRow) -> Path:
        """Admit a stream that runs at once. Return the folder for its files."""
        folder = self.files.make_folder(row.id)
        try:
            with self.database.write() as session:
                self.accounts.admit(session, row.account_id, row.client, row.created)
                queue.insert(session, row)
        except BaseException:
            self.files.remove(row.id)
            raise
        return folder

    def open_transcript(self, row: JobRow) -> JobRow:
        """Add the transcript of a running stream to the library. Return the new row."""
        with self.database.write() as session:
            number = self.library.open(session, row.account_id, row.filename, row.created)
            return queue.keep_in(session, row, number)

    def finish_stream(self, row: JobRow, transcript: Any) -> Any:
        """End a stream with what is final in it."""
        if row.transcript_id is not None and self.settings.keep_audio:
            KeptStream(self.files.folder(row.id)).put_recording()
        return self.done(row, transcript, handed_over=True)

    def forget_stream(self, row: JobRow) -> None:
        """Forget a stream without sound."""
        self.forget(row)
        self.files.remove(row.id)

    def release_minutes(self, row: JobRow, minutes: int) -> None:
        """Return the further minutes of a stream that failed."""
        with self.database.write() as session:
            for number in range(2, minutes + 1):
                self.accounts.release(session, f"{row.id}.{number}")

    def _recover(self, row: JobRow) -> None:
        """End a stream whose server has gone."""
        if row.transcript_id is None:
            return self.forget_stream(row)
        kept = KeptStream(self.files.folder(row.id))
        with suppress(NotFound, Cancelled):
            self.finish_stream(row, kept.transcript(row.parameters))
            return None
        return self.failed(row, Cancelled(DELETED))
