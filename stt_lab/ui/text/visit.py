"""A request of the tab: its caller, and where it reports progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from stt_lab.installation import Installation
from stt_lab.types import File
from stt_lab.ui.api import caller_of, hand_out, run_operation
from stt_lab.ui.text.source import TextSource
from stt_lab.ui.work import ReportProgress


@dataclass(frozen=True)
class PageRequest:
    """A request of the tab while it is processed."""

    installation: Installation
    request: gr.Request
    report: ReportProgress

    @property
    def session(self) -> str:
        """Id of the page session in the browser."""
        return str(self.request.session_hash)

    @property
    def account(self) -> int:
        return caller_of(self.installation, self.request).account_id

    @property
    def anonymous(self) -> bool:
        return caller_of(self.installation, self.request).anonymous

    def call(self, operation: str, values: dict[str, Any]) -> Any:
        """Call an operation, which authorises the caller."""
        return run_operation(self.installation, operation, values, self.request, self.report)

    def stored(self, id: object) -> TextSource:
        """Open a transcript of the caller's library."""
        return TextSource.stored(self.call("transcript", {"id": str(id or "")}))

    def share(self, file: File, transcript: int | None) -> str:
        """Offer a file of a transcript until the page session ends; return its address."""
        address = hand_out(self.installation, file, self.request, transcript)
        self.installation.runtime.shared_files.keep(address, self.session)
        return address
