"""Generate Gradio's API from the operations: an endpoint each, with the operation's name, parameters and defaults."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing
from typing import Annotated, Any, TypeVar, get_args, get_origin

import gradio as gr

from stt_lab.caller import Caller
from stt_lab.installation import Installation
from stt_lab.operations.library import PATH
from stt_lab.presentation import body
from stt_lab.registry import OPERATIONS, Context, Operation, call
from stt_lab.streaming.updates import message
from stt_lab.types import Event, File
from stt_lab.ui.work import BackgroundCall, ReportProgress, file_data, named, sentence


def caller_of(installation: Installation, request: gr.Request) -> Caller:
    """Identify the caller of a request of the page or of Gradio's clients."""
    return installation.access.identify(request.request)  # Gradio's request wraps Starlette's


def run_operation(
    installation: Installation,
    name: str,
    values: dict[str, Any],
    request: gr.Request,
    report: ReportProgress,
    filename: str = "",
) -> Any:
    """Run an operation as the caller of a request."""
    caller = caller_of(installation, request)
    context = Context(caller, installation.runtime, report, installation.jobs, filename=filename)
    return call(OPERATIONS[name], values, context)


def add_endpoints(installation: Installation) -> None:
    """Add an endpoint for every operation to the Blocks that is being built."""
    for op in OPERATIONS.values():
        make = _live_endpoint if op.live else _endpoint
        gr.api(make(op, installation), api_name=op.name, api_description=op.summary, concurrency_limit=None)


def _endpoint(op: Operation, installation: Installation) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def endpoint(request: gr.Request, *args: Any) -> Any:
        values = dict(zip(op.fields, args, strict=False))

        def job(report: ReportProgress) -> Any:
            name = next((named(values.get(media)) for media in op.file_params), "")
            with installation.runtime.shared_files.taken(values, op.file_params) as parsed:
                result = run_operation(installation, op.name, parsed, request, report, name)
            if not isinstance(result, File):
                return body(result).content
            chunks: Any = result.chunks
            with closing(chunks):
                transcript = _transcript_of(installation, op, values, request)
                return file_data(hand_out(installation, result, request, transcript), result.name)

        try:
            return await _follow(job)
        except Exception as problem:
            raise gr.Error(sentence(problem), print_exception=False) from None

    return _described(endpoint, op)


def _live_endpoint(op: Operation, installation: Installation) -> Callable[..., AsyncIterator[Any]]:
    """Make the endpoint of a live operation: a generator of its updates."""

    async def endpoint(request: gr.Request, *args: Any) -> AsyncIterator[Any]:
        values = dict(zip(op.fields, args, strict=False))

        def job(report: ReportProgress) -> None:
            name = next((named(values.get(media)) for media in op.file_params), "")
            with installation.runtime.shared_files.taken(values, op.file_params) as parsed:
                updates = run_operation(installation, op.name, parsed, request, lambda _: report(None), name)
                with closing(updates):
                    for update in updates:
                        report(message(update))

        try:
            async with BackgroundCall(job) as work:
                async for made in work.updates():
                    for one in filter(None, made):
                        yield one
                work.result()
        except Exception as problem:
            raise gr.Error(sentence(problem), print_exception=False) from None

    return _described(endpoint, op)


F = TypeVar("F", bound=Callable[..., Any])


def _described(endpoint: F, op: Operation) -> F:
    signature = _signature(op)
    endpoint.__name__, endpoint.__doc__ = op.name, op.description
    endpoint.__signature__ = signature  # type: ignore[attr-defined]  # what Gradio reads
    endpoint.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
    return endpoint


async def _follow(job: Callable[[ReportProgress], Any]) -> Any:
    """Run a job and pass its progress to the client."""
    progress = gr.Progress()
    async with BackgroundCall(job) as work:
        async for events in work.updates():
            for event in events[-1:]:
                assert isinstance(event, Event)
                progress(event.fraction, desc=event.stage)
        return work.result()


def _transcript_of(
    installation: Installation, op: Operation, values: dict[str, Any], request: gr.Request
) -> int | None:
    """Return the transcript that an operation is about. Raises NotFound if it was deleted meanwhile."""
    if not op.path.startswith(f"{PATH}/{{id}}"):
        return None
    account = caller_of(installation, request).account_id
    return installation.runtime.library.get(account, values["id"]).id


def _signature(op: Operation) -> inspect.Signature:
    """Return the operation's parameters after Gradio's request, with annotations that Gradio can read."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    request = inspect.Parameter("request", kind, annotation=gr.Request)  # first: those with defaults must be last
    public = [
        parameter.replace(annotation=gr.FileData if name in op.file_params else _bare(parameter.annotation))
        for name, parameter in op.signature.parameters.items()
    ]
    answer: Any = gr.FileData if op.result is File else dict[str, Any] | str if op.texts else dict[str, Any]
    return inspect.Signature([request, *public], return_annotation=answer)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def hand_out(installation: Installation, file: File, request: gr.Request, transcript: int | None) -> str:
    """Offer a file to a client, as long as the transcript that it was made of exists; return its address."""
    caller = caller_of(installation, request)
    largest = installation.access.upload_limit(caller)
    return installation.runtime.shared_files.hand_out(file, caller, largest, transcript)
