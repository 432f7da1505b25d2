"""Gradio's API printed from the operations: an endpoint each, with the operation's name, parameters and defaults."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import gradio as gr
from pydantic import TypeAdapter

from stt_lab.accounts.access import Access
from stt_lab.caller import Caller
from stt_lab.lab.runs.evaluations import Evaluations
from stt_lab.registry import OPERATIONS, Context, Gate, Operation, call
from stt_lab.runtime import Runtime
from stt_lab.transcription.render import to_json
from stt_lab.types import Event, File, Rendering, Transcript
from stt_lab.ui.work import BackgroundCall, ReportProgress, handed_out, named, sentence, taken


@dataclass(frozen=True)
class Entrance:
    """Where requests of Gradio come in."""

    runtime: Runtime
    access: Access
    gate: Gate
    lab: Evaluations

    def caller(self, request: gr.Request) -> Caller:
        """Who sent a request: a header or the page's cookie says so."""
        return self.access.visitor(request)

    def call(
        self, name: str, values: dict[str, Any], request: gr.Request, tell: ReportProgress, filename: str = ""
    ) -> Any:
        """Run an operation for whoever sent the request."""
        context = Context(self.caller(request), self.runtime, tell, self.gate, filename=filename)
        return call(OPERATIONS[name], values, context)


def add_endpoints(entrance: Entrance) -> None:
    """Put an endpoint for every operation on the Blocks that is being built."""
    for op in OPERATIONS.values():
        gr.api(_endpoint(op, entrance), api_name=op.name, api_description=op.summary, concurrency_limit=None)


def _endpoint(op: Operation, entrance: Entrance) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def endpoint(request: gr.Request, *args: Any) -> Any:
        values = dict(zip(op.fields, args, strict=False))

        def job(tell: ReportProgress) -> Any:
            name = next((named(values.get(media)) for media in op.media), "")
            with taken(values, op.media) as parsed:
                return plain(entrance.call(op.name, parsed, request, tell, name))

        try:
            return await _follow(job)
        except Exception as problem:
            raise gr.Error(sentence(problem), print_exception=False) from None

    signature = _signature(op)
    endpoint.__name__, endpoint.__doc__ = op.name, op.description
    endpoint.__signature__ = signature  # type: ignore[attr-defined]  # what Gradio reads
    endpoint.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
    return endpoint


async def _follow(job: Callable[[ReportProgress], Any]) -> Any:
    """Run a job and pass its progress to the client."""
    progress = gr.Progress()
    async with BackgroundCall(job) as work:
        async for told in work.updates():
            for event in told[-1:]:
                assert isinstance(event, Event)
                progress(event.fraction, desc=event.stage)
        return work.result()


def _signature(op: Operation) -> inspect.Signature:
    """The operation's parameters behind Gradio's request, with annotations that Gradio can read."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    request = inspect.Parameter("request", kind, annotation=gr.Request)  # first: those with defaults must be last
    public = [
        parameter.replace(annotation=gr.FileData if name in op.media else _bare(parameter.annotation))
        for name, parameter in op.signature.parameters.items()
    ]
    result = op.signature.return_annotation
    renders = Rendering in get_args(result)
    answer: Any = gr.FileData if result is File else dict[str, Any] | str if renders else dict[str, Any]
    return inspect.Signature([request, *public], return_annotation=answer)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def plain(result: Any) -> Any:
    """A result as JSON values; a rendering as its text, a file as one that can be fetched."""
    if isinstance(result, File):
        return handed_out(result.name, result.chunks)
    if isinstance(result, Transcript):
        return to_json(result)
    if isinstance(result, Rendering):
        return json.loads(result.text) if result.media_type == "application/json" else result.text
    return TypeAdapter(type(result)).dump_python(result, mode="json")
