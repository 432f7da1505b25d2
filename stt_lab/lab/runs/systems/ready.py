"""Whether a system could start here, without starting anything."""

from __future__ import annotations

import importlib.util
import sys

from stt_lab.errors import SttError
from stt_lab.lab.runs.runner import ENVS
from stt_lab.lab.runs.suite import Entry
from stt_lab.lab.runs.systems.child import PROGRAMS, Foreign, install, interpreter, weights_for
from stt_lab.lab.runs.systems.ours import Ours
from stt_lab.lab.runs.systems.protocol import Bench
from stt_lab.settings import Settings
from stt_lab.weights import catalog


def lacks(entry: Entry, settings: Settings) -> str:
    """What a system needs and this machine has not, in a sentence or two; "" where it can start.

    Of a service behind a URL nothing is known before its first recording.
    """
    try:
        if isinstance(entry.wish, Ours):
            return _ours(entry.wish, settings)
        if isinstance(entry.wish, Foreign):
            return _foreign(entry.wish, Bench(entry.name, settings, ENVS, 1.0))
    except SttError as problem:
        return str(problem)
    return ""


def _ours(wish: Ours, settings: Settings) -> str:
    needed = [wish.model, wish.diarizer] if wish.diarize and wish.diarizer else [wish.model]
    missing = [one for one in needed if not catalog.available(catalog.get(one), settings)]
    if missing:
        return f"Its model is not on this machine: fetch it with `stt-lab models pull {' '.join(missing)}`."
    if wish.diarize and catalog.best("diarize", settings) is None:
        return "No model that tells speakers apart is on this machine: fetch one with `stt-lab models pull`."
    return ""


def _foreign(wish: Foreign, bench: Bench) -> str:
    program = PROGRAMS[wish.engine]
    if str(interpreter(wish, bench)) == sys.executable and not _installed(program.module):
        return f"Its program is not installed. {install(wish, bench.envs)}."
    weights_for(catalog.get(wish.model), program, bench.settings)  # raises where they are not here
    return ""


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # not even the package around it
        return False
