"""stt_lab: a speech-to-text workbench that runs on your own machines.

Every operation is a function: `stt_lab.transcribe("meeting.mp3", language="en")`. Importing this package loads neither
torch nor gradio; engines are loaded on first use.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_QUIET = {
    "ORT_DISABLE_TELEMETRY": "1",
    "PYANNOTE_METRICS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "WANDB_MODE": "disabled",  # a requirement of f5-tts
    "WANDB_ERROR_REPORTING": "false",
}
os.environ.update(_QUIET | os.environ)  # libraries read it on import, and would report to their makers
_PUBLIC = ("stt_lab.operations", "stt_lab.types")  # names of this package that are in modules, loaded on first use


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        for place in map(import_module, _PUBLIC):
            if name in place.__all__:
                return getattr(place, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for place in map(import_module, _PUBLIC) for name in place.__all__)})
