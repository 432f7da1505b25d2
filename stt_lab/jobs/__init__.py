"""Jobs: long operations wait in the store's queue, run when their turn comes, and survive whoever asked for them.

gate.py      what a request meets: admission, waiting, Idempotency-Key, the answer
crew.py      threads that take jobs from the queue, renew their leases, and notice who has gone
desk.py      each step of a job as one transaction over queue, credits, library and files
files.py     recordings on disk: of jobs, and kept ones
progress.py  events of stages as percent and remaining time
"""

from stt_lab.jobs.gate import Jobs

__all__ = ["Jobs"]
