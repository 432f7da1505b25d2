"""Jobs: long operations that wait in the store's queue and go on when their client disconnects.

queue.py      the gate of a server: admission, waiting, Idempotency-Key, the answer
workers.py    threads that claim and run jobs, renew their leases, and release jobs of lost servers
lifecycle.py  each step of a job as one transaction over queue, credits, library and files
files.py      files on disk: recordings of jobs, artifacts, and recordings that the library keeps
progress.py   percent and remaining time from the events of stages
webhooks.py   signed messages about jobs that ended

This package knows no single operation: declarations say what their jobs need (stt_lab.registry).
"""

from stt_lab.jobs.queue import JobQueue

__all__ = ["JobQueue"]
