"""Hosts run engines: in this process, in a worker process per device, or as actors on the nodes of a Ray cluster.

A call names an engine's class, its specification and one method. Arguments and results are frozen dataclasses; sound is
passed as a file, progress as events. Several calls may be in progress; they take turns between windows (turns.py). If
`report` raises `Cancelled`, the host stops the call. The Ray host is imported only where it is used.
"""

from stt_lab.engines.hosts.calls import ABANDONED_S, CANCEL_GRACE_S, POLL_S, EngineCall, Host
from stt_lab.engines.hosts.environment import LIBRARIES, instructions, tuning, worker_environ
from stt_lab.engines.hosts.inprocess import InProcessHost
from stt_lab.engines.hosts.process import WorkerHost

__all__ = [
    "ABANDONED_S",
    "CANCEL_GRACE_S",
    "LIBRARIES",
    "POLL_S",
    "EngineCall",
    "Host",
    "InProcessHost",
    "WorkerHost",
    "instructions",
    "tuning",
    "worker_environ",
]
