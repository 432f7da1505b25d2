"""Check whether a system can start here, without starting it."""

from __future__ import annotations

import importlib.util
import sys

from stt_lab.errors import SttError
from stt_lab.lab.runs.runner import ENVS
from stt_lab.lab.runs.suite import SystemEntry
from stt_lab.lab.runs.systems.child import PROGRAMS, ExternalConfig, install, interpreter, weights_for
from stt_lab.lab.runs.systems.live import LiveConfig
from stt_lab.lab.runs.systems.ours import OwnConfig
from stt_lab.lab.runs.systems.protocol import SystemContext
from stt_lab.settings import Settings
from stt_lab.weights import catalog


def lacks(entry: SystemEntry, settings: Settings) -> str:
    """Say what a system needs that is missing on this machine; "" if it can start.

    A service behind a URL is not checked.
    """
    try:
        if isinstance(entry.config, OwnConfig):
            return _ours(entry.config, settings)
        if isinstance(entry.config, LiveConfig):
            return _ours(OwnConfig(entry.config.model), settings)
        if isinstance(entry.config, ExternalConfig):
            return _foreign(entry.config, SystemContext(entry.name, settings, ENVS, 1.0))
    except SttError as problem:
        return str(problem)
    return ""


def _ours(config: OwnConfig, settings: Settings) -> str:
    needed = [config.model, config.diarizer] if config.diarize and config.diarizer else [config.model]
    missing = [one for one in needed if not catalog.available(catalog.get(one), settings)]
    if missing:
        return f"Its model is not installed. Fetch it with `stt-lab models pull {' '.join(missing)}`."
    if config.diarize and catalog.best("diarize", settings) is None:
        return "No diarization model is installed. Fetch one with `stt-lab models pull`."
    return ""


def _foreign(config: ExternalConfig, context: SystemContext) -> str:
    program = PROGRAMS[config.engine]
    if str(interpreter(config, context)) == sys.executable and not installed(program.module):
        return f"Its program is not installed. {install(config, context.envs)}."
    weights_for(catalog.get(config.model), program, context.settings)  # raises if they are missing
    return ""


def installed(module: str) -> bool:
    """Return whether Python finds a module, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent package is missing
        return False
