"""stt_lab: a speech-to-text workbench that runs on one's own machines.

Every operation is a function here: `stt_lab.transcribe("meeting.mp3", language="en")`. Importing this
package loads neither torch nor gradio; an engine is loaded when it is first asked to work.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stt_lab import operations, types

    for place in (operations, types):
        if name in place.__all__:
            return getattr(place, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from stt_lab import operations, types

    return sorted([*globals(), *operations.__all__, *types.__all__])
