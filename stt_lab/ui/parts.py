"""Building blocks that all tabs share."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar, Protocol

import gradio as gr

from stt_lab.installation import Installation
from stt_lab.ui.work import discard

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
RAW: dict[str, Any] = PRIVATE | {"preprocess": False}  # raw values, because Gradio would copy files


class Tab(Protocol):
    """A tab of the page; `stt_lab.ui.page.TABS` lists them."""

    title: ClassVar[str]

    def __init__(self, installation: Installation) -> None: ...

    def draw(self, tab: gr.Tab) -> None:
        """Add the components inside `tab` to the Blocks that is being built, and wire their events."""
        ...


class Uploads:
    """Files of each page session, which are deleted with it."""

    def __init__(self) -> None:
        self._paths: defaultdict[str, set[Path]] = defaultdict(set)
        self._lock = threading.Lock()

    def add(self, session: str, path: Path) -> None:
        """Remember a file of a session."""
        with self._lock:
            self._paths[session].add(path)

    def end(self, session: str) -> None:
        """Delete the files of a session."""
        with self._lock:
            paths = self._paths.pop(session, set())
        for path in paths:
            discard(path)


def html(value: str = "", elem_id: str | None = None, **more: Any) -> gr.HTML:
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False, js_on_load=None, **more)
