"""Where engines run: in this process, in a worker process per device, or as actors on the nodes of a Ray cluster.

A call names an engine's class, what it is made from, and one method; its arguments and result are frozen dataclasses,
sound crosses as a file, progress as events. Several calls may be under way: they take turns between windows (turns.py).
`report` may raise `Cancelled` at any time: the host then stops the call. The Ray host is imported where it is used.
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
