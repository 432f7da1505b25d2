"""Access control of the Lab tab, and what its handlers share."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import gradio as gr

from stt_lab.caller import ADMINISTRATOR
from stt_lab.door.shared_files import SharedFiles, link
from stt_lab.errors import BadInput, Cancelled, Forbidden, SttError, Unavailable
from stt_lab.extras import command
from stt_lab.installation import Installation
from stt_lab.lab.runs.evaluations import Evaluations
from stt_lab.settings import MB
from stt_lab.text import LANGUAGES
from stt_lab.types import File
from stt_lab.ui.api import caller_of
from stt_lab.ui.html import notice
from stt_lab.ui.work import BackgroundCall, ReportProgress, sentence

T = TypeVar("T")
Updates = dict[Any, Any]  # component -> its new value; other components do not change
Handler = Callable[..., AsyncIterator[Updates]]

PACKAGES = ("pandas", "matplotlib", "jiwer", "meeteval", "psutil", "papermill", "nbconvert")  # of the extra `lab`


class LabContext:
    """What every panel of the tab works with."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.lab: Evaluations = installation.lab
        self.files = installation.runtime.shared_files

    def sentence(self, problem: Exception) -> str:
        """Return the message of an error, without the laboratory's path."""
        return sentence(problem).replace(f"{self.lab.folder}{os.sep}", "")

    def keep(self, request: gr.Request) -> Callable[[str], None]:
        """Return a function that keeps the file at an address as long as the page is open."""
        session = str(request.session_hash)
        return lambda address: self.files.keep(address, session)

    def shelf(self, request: gr.Request) -> PageShelf:
        """Return where handlers put files for a page."""
        return PageShelf(self.files, self.keep(request), self.lab.settings.max_upload_mb * MB)


@dataclass(frozen=True)
class PageShelf:
    """Files that a page of the administrator can fetch while it is open."""

    files: SharedFiles
    keep: Callable[[str], None]
    largest: int  # bytes

    def put(self, name: str, content: bytes) -> str:
        """Offer bytes as a file; return its URL."""
        return self._kept(self.files.hand_out(File(name, "", iter([content])), ADMINISTRATOR, self.largest))

    def lend(self, recording: Path) -> str:
        """Offer a recording; return its URL, "" if it cannot be shared."""
        address = self.files.lend(recording)
        return self._kept(address) if address else ""

    def _kept(self, address: str) -> str:
        self.keep(address)
        return link(address)


class LabPanel(Protocol):
    context: LabContext


def administrator(place: str, quiet: bool = False) -> Callable[[Handler], Handler]:
    """Decorate an event handler for the administrator only; its last argument is the request.

    Gradio exposes every handler to raw HTTP, hidden or not, so that each authorises by itself. A refusal is a pop-up,
    or a `quiet` notice for events without a click. Errors of the handler are shown in the component `place`.
    """

    def wrap(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def guarded(self: LabPanel, *values: Any) -> AsyncIterator[Updates]:
            status = getattr(self, place)
            try:
                authorise(self.context, values[-1])
            except SttError as problem:
                if not quiet:
                    raise gr.Error(str(problem), print_exception=False) from None
                yield {status: notice(str(problem))}
                return
            yield {status: gr.skip()}  # without any update, Gradio would clear all components
            try:
                async for updates in handler(self, *values):
                    yield updates
            except Cancelled:  # the client has gone
                return
            except Exception as problem:
                yield {status: notice(self.context.sentence(problem), "error")}

        return guarded

    return wrap


def authorise(context: LabContext, request: gr.Request) -> None:
    """Check the caller. Raises Forbidden, Unauthorized, or Unavailable if packages are missing."""
    if not caller_of(context.installation, request).admin:
        raise Forbidden("Only the administrator can use the laboratory. Please sign in.")
    if said := missing_extra():
        raise Unavailable(said)


def is_admin(context: LabContext, request: gr.Request) -> bool:
    """Return whether the administrator sent a request."""
    try:
        return caller_of(context.installation, request).admin
    except SttError:  # an invalid key
        return False


def missing_extra() -> str:
    """Say how to install missing packages; "" if there are none. Imports none of them."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    return f"The laboratory needs {', '.join(missing)}. Run {command('lab')}, then restart the server."


async def done(job: Callable[[ReportProgress], T]) -> T:
    """Run a job in a thread and return its result. Raises Cancelled if the client leaves."""
    async with BackgroundCall(job) as work:
        async for _ in work.updates():
            pass
        return work.result()


# Values from clients


def texts(value: Any) -> list[str]:
    """Convert to a list of strings; [] for anything but a list."""
    return [str(one) for one in value] if isinstance(value, list) else []


def text(value: Any) -> str:
    """Convert to a string; "" for None."""
    return "" if value is None else str(value)


def whole(value: Any) -> int:
    """Convert to a whole number. Raises BadInput."""
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"The number of recordings cannot be {str(value)[:40]!r}. Use a whole number.") from None


def languages() -> list[tuple[str, str]]:
    """Return (name, code) of all languages for a dropdown."""
    return sorted((name.title(), code) for code, name in LANGUAGES.items())
