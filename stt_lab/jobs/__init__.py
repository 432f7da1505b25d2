"""Jobs: long operations wait in the store's queue, run when their turn comes, and survive whoever asked for them.

queue.py      what a request meets: admission, waiting, Idempotency-Key, the answer
workers.py    threads that take jobs from the queue, renew their leases, and notice who has gone
lifecycle.py  each step of a job as one transaction over queue, credits, library and files
files.py      files on disk: recordings of jobs, artifacts that jobs made, recordings that the library keeps
progress.py   events of stages as percent and remaining time
webhooks.py   signed messages about jobs that ended

Nothing here knows one operation from another: what a job needs stands in its declaration (stt_lab.registry).
"""

from stt_lab.jobs.queue import JobQueue

__all__ = ["JobQueue"]
