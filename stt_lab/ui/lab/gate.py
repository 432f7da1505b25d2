"""Who may use the laboratory, and what its handlers share."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import gradio as gr

from stt_lab.errors import BadInput, Cancelled, Forbidden, SttError, Unavailable
from stt_lab.lab.runs.evaluations import Evaluations
from stt_lab.text import LANGUAGES
from stt_lab.ui.api import Entrance
from stt_lab.ui.html import notice
from stt_lab.ui.parts import Uploads
from stt_lab.ui.work import BackgroundCall, ReportProgress, sentence

T = TypeVar("T")
Updates = dict[Any, Any]  # what components become; all others stay as they are
Handler = Callable[..., AsyncIterator[Updates]]

PACKAGES = ("pandas", "matplotlib", "jiwer", "meeteval", "psutil", "papermill", "nbconvert")  # of the extra `lab`


class LabContext:
    """What every part of the laboratory works with."""

    def __init__(self, entrance: Entrance) -> None:
        self.entrance = entrance
        self.lab: Evaluations = entrance.lab
        self.uploads = Uploads()

    def sentence(self, problem: Exception) -> str:
        """What is read of an error: with names, and not where they lie."""
        return sentence(problem).replace(f"{self.lab.folder}{os.sep}", "")

    def keep(self, request: gr.Request) -> Callable[[Path], None]:
        """Remember files that a visitor was lent, so that they go with him."""
        session = str(request.session_hash)
        return lambda path: self.uploads.add(session, path)


class LabPanel(Protocol):
    context: LabContext


def administrator(place: str, quiet: bool = False) -> Callable[[Handler], Handler]:
    """A handler of events that only the administrator may cause, in whatever way; its last argument is the request.

    Gradio answers raw HTTP for every handler, hidden or not, so each authorises by itself. A refusal is an error that
    pops up, or, where nobody pressed anything, a `quiet` sentence. What a handler raises becomes a sentence in the
    component that its part has as `place`.
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
            yield {status: gr.skip()}  # of a handler that yields nothing, Gradio would empty all components
            try:
                async for updates in handler(self, *values):
                    yield updates
            except Cancelled:  # nobody looks any more
                return
            except Exception as problem:
                yield {status: notice(self.context.sentence(problem), "error")}

        return guarded

    return wrap


def authorise(context: LabContext, request: gr.Request) -> None:
    """Raises Forbidden, Unauthorized, or Unavailable where packages are missing."""
    if not context.entrance.caller(request).admin:
        raise Forbidden("The laboratory is for the administrator: sign in first.")
    if said := missing_extra():
        raise Unavailable(said)


def is_admin(context: LabContext, request: gr.Request) -> bool:
    try:
        return context.entrance.caller(request).admin
    except SttError:  # a key that is not good
        return False


def missing_extra() -> str:
    """What to do where the laboratory's packages are not installed; "" where they are. Imports none of them."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    return f'The laboratory needs {", ".join(missing)}: run pip install "stt_lab[lab]", then start the server again.'


async def done(job: Callable[[ReportProgress], T]) -> T:
    """What a job in a thread returns; Cancelled when nobody waits for it any more."""
    async with BackgroundCall(job) as work:
        async for _ in work.updates():
            pass
        return work.result()


# Values as clients send them


def texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def text(value: Any) -> str:
    return "" if value is None else str(value)


def whole(value: Any) -> int:
    """Raises BadInput for what is no number."""
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        raise BadInput("Give a whole number of recordings.") from None


def languages() -> list[tuple[str, str]]:
    """For a list to choose from."""
    return sorted((name.title(), code) for code, name in LANGUAGES.items())
