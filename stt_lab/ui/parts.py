"""Building blocks that all tabs share."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import gradio as gr

from stt_lab.installation import Installation

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
RAW: dict[str, Any] = PRIVATE | {"preprocess": False}  # raw values, because Gradio would copy files


class Tab(Protocol):
    """A tab of the page; `stt_lab.ui.page.TABS` lists them."""

    title: ClassVar[str]

    def __init__(self, installation: Installation) -> None: ...

    def draw(self, tab: gr.Tab) -> None:
        """Add the components inside `tab` to the Blocks that is being built, and wire their events."""
        ...


def html(value: str = "", elem_id: str | None = None, **more: Any) -> gr.HTML:
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False, js_on_load=None, **more)
