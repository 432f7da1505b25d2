"""A press of a button while it is worked on: who pressed, and where progress is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from stt_lab.types import File
from stt_lab.ui.api import Entrance
from stt_lab.ui.parts import Uploads
from stt_lab.ui.text.source import Source
from stt_lab.ui.work import Tell, handed_out


@dataclass(frozen=True)
class Visit:
    entrance: Entrance
    request: gr.Request
    uploads: Uploads
    tell: Tell

    @property
    def session(self) -> str:
        """Of the page that is open in a browser."""
        return str(self.request.session_hash)

    @property
    def account(self) -> int:
        return self.entrance.caller(self.request).account_id

    @property
    def anonymous(self) -> bool:
        return self.entrance.caller(self.request).anonymous

    def call(self, operation: str, values: dict[str, Any]) -> Any:
        """The answer of an operation, which authorises the visitor."""
        return self.entrance.call(operation, values, self.request, self.tell)

    def stored(self, id: object) -> Source:
        """A transcript of the visitor's library."""
        return Source.stored(self.call("transcript", {"id": str(id or "")}))

    def lend(self, file: File) -> str:
        """A file that goes with the visitor; where it lies."""
        path: str = handed_out(file.name, file.chunks)["path"]
        self.uploads.add(self.session, Path(path))
        return path
