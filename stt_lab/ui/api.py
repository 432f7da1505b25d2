"""Gradio's API printed from the operations: an endpoint each, with the operation's name, parameters and defaults."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, get_args, get_origin

import gradio as gr
from pydantic import TypeAdapter

from stt_lab.access import COOKIE, Access
from stt_lab.registry import OPERATIONS, Caller, Context, Operation, call
from stt_lab.render import to_json
from stt_lab.runtime import Runtime
from stt_lab.types import Event, Rendering, Transcript
from stt_lab.ui.work import Tell, Work, sentence, taken


def add_endpoints(runtime: Runtime, access: Access) -> None:
    """Put an endpoint for every operation on the Blocks that is being built."""
    for op in OPERATIONS.values():
        gr.api(_endpoint(op, runtime, access), api_name=op.name, api_description=op.summary, concurrency_limit=None)


def caller_of(request: gr.Request, access: Access) -> Caller:
    """Who sent a request of Gradio: a header or the page's cookie says so."""
    return access.identify_browser(request.headers.get("authorization"), request.cookies.get(COOKIE))


def _endpoint(op: Operation, runtime: Runtime, access: Access) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def endpoint(request: gr.Request, *args: Any) -> Any:
        values = dict(zip(op.fields, args, strict=False))

        def job(tell: Tell) -> Any:
            with taken(values, op.media) as parsed:
                return call(op, parsed, Context(caller_of(request, access), runtime, tell))

        try:
            return plain(await _follow(job))
        except Exception as problem:
            raise gr.Error(sentence(problem), print_exception=False) from None

    signature = _signature(op)
    endpoint.__name__, endpoint.__doc__ = op.name, op.fn.__doc__
    endpoint.__signature__ = signature  # type: ignore[attr-defined]  # what Gradio reads
    endpoint.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
    return endpoint


async def _follow(job: Callable[[Tell], Any]) -> Any:
    """Run a job and pass its progress to the client."""
    progress = gr.Progress()
    async with Work(job) as work:
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
    renders = Rendering in get_args(op.signature.return_annotation)
    answer: Any = dict[str, Any] | str if renders else dict[str, Any]
    return inspect.Signature([request, *public], return_annotation=answer)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def plain(result: Any) -> Any:
    """A result as JSON values; a rendering as its text."""
    if isinstance(result, Transcript):
        return to_json(result)
    if isinstance(result, Rendering):
        return json.loads(result.text) if result.media_type == "application/json" else result.text
    return TypeAdapter(type(result)).dump_python(result, mode="json")
