"""Generate the OpenAPI document from the operations: parameters, bodies, answers and all possible statuses."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from stt_lab.accounts.access import COOKIE
from stt_lab.registry import Operation
from stt_lab.types import File, Transcript
from stt_lab.voice.encoding import MEDIA_TYPES

REFS = "#/components/schemas/{model}"
SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "Key of an account, or the administrator's key"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Session of the page, after sign-in"},
}
MEANINGS = {
    "400": "A parameter or the recording is not valid",
    "401": "The key is missing or not valid",
    "402": "The account has too few credits",
    "403": "The key lacks the scope, or a page of another site used the session",
    "404": "Not found, or it belongs to another account",
    "409": "The first request with this Idempotency-Key is still in progress",
    "413": "The request exceeds the limit of the tier",
    "416": "The requested range is outside of the file",
    "422": "The Idempotency-Key was used for a different request",
    "429": "A quota or rate limit is exceeded; retry after Retry-After seconds",
    "499": "The work was cancelled",
    "500": "Internal error; the server's log has the details",
    "503": "Temporarily unavailable; retry after Retry-After seconds",
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}},
}
IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A random string; repeating the same request with it returns the first answer",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
JOB = {
    "type": "object",
    "required": ["id", "status", "url"],
    "properties": {name: {"type": "string"} for name in ("id", "status", "url")},
}


FILES = {
    key: {"schema": {"type": "string", "format": "binary"}}
    for key in (
        "text/plain",
        "application/x-subrip",
        "text/vtt",
        "application/json",
        "text/csv",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/pdf",
        "audio/wav",
    )
}
SOUNDS = {
    key: {"schema": {"type": "string", "format": "binary"}}
    for key in ("audio/*", "video/*", "application/octet-stream")
}
SPEECH = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()}
RANGE = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "Byte range of the file",
    "schema": {"type": "string", "pattern": "^bytes=[0-9]{1,18}-$"},
}
UPDATES = {"application/x-ndjson": {"schema": {"type": "string", "description": "A line of JSON for each update"}}}
EVENTS = {"text/event-stream": {"schema": {"type": "string", "description": "The job, each time it changes"}}}


def describe(op: Operation, contents: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe an operation's parameters and answers. `contents` replaces the description of its result."""
    schema = op.params.model_json_schema(ref_template=REFS)
    schema.pop("$defs", None)
    fields, needed = schema["properties"], set(schema.get("required", ()))
    loose = [name for name in fields if name not in op.path_params and op.method in ("GET", "DELETE")]
    made: dict[str, Any] = {
        "parameters": [_parameter(name, fields[name], "path", True) for name in op.path_params]
        + [_parameter(name, fields[name], "query", name in needed) for name in loose]
        + [IDEMPOTENCY] * (op.method == "POST")
        + [RANGE] * _in_parts(op),
        "responses": {"200": _result(op, contents)} | _errors(op),
        "security": [{}] * op.anonymous + [{"key": []}, {"session": []}],
    }
    if op.job:
        made["responses"]["202"] = _json("The job, with `background`", JOB)
    if _in_parts(op):
        made["responses"]["206"] = {"description": "The requested range", "content": SOUNDS}
    if op.method in ("POST", "PATCH"):
        made["requestBody"] = _body(op, schema)
    return made


def _in_parts(op: Operation) -> bool:
    """Return whether the answer is a recording, which supports `Range`. Other files are exports in a format."""
    return op.result is File and "format" not in op.fields and not op.streamed


def components(operations: list[Operation]) -> dict[str, Any]:
    """Return the schemas that the operations' schemas refer to."""
    found: dict[str, Any] = {}
    for op in operations:
        found |= op.params.model_json_schema(ref_template=REFS).get("$defs", {})
        found |= _result_schema(op).get("$defs", {})
    return found


def failure(status: str) -> dict[str, Any]:
    return _json(MEANINGS[status], ERROR)


def _parameter(name: str, schema: dict[str, Any], place: str, required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _errors(op: Operation) -> dict[str, Any]:
    """Describe the error statuses that an operation may return."""
    kinds = {
        "400 401 403 429 500 503": True,  # 429 also after too many wrong keys
        "404": bool(op.path_params) or op.method == "DELETE",  # DELETE of sessions names an account
        "409 422": op.method == "POST",
        "413": op.method in ("POST", "PATCH"),
        "416": _in_parts(op),
        "402": op.charge is not None,
        "499": op.job is not None,
    }
    return {status: failure(status) for statuses, may in kinds.items() if may for status in statuses.split()}


def _body(op: Operation, schema: dict[str, Any]) -> dict[str, Any]:
    inside = {name: kind for name, kind in schema["properties"].items() if name not in op.path_params}
    needed = [name for name in schema.get("required", ()) if name not in op.path_params]
    for name in op.file_params:
        inside[name] = {"type": "string", "format": "binary", "description": op.fields[name].description}
    kind = "multipart/form-data" if op.file_params else "application/json"
    made: dict[str, Any] = {"type": "object", "properties": inside, "additionalProperties": False}
    made |= {"required": needed} if needed else {}
    return {"required": True, "content": {kind: {"schema": made}}}


def _result(op: Operation, contents: dict[str, Any] | None) -> dict[str, Any]:
    if op.result is File:
        contents = SPEECH if op.streamed else SOUNDS if _in_parts(op) else FILES
    if op.live:
        contents = UPDATES
    if contents is None:
        schema = _result_schema(op)
        schema.pop("$defs", None)
        contents = {"application/json": {"schema": schema}}
        contents |= {kind: {} for kind in op.texts}
    return {"description": "The result", "content": contents}


def _result_schema(op: Operation) -> dict[str, Any]:
    if op.result is Transcript:
        return {"type": "object", "required": ["text", "language", "duration", "segments", "speakers"]}
    if op.result is File or op.live:
        return {}
    return TypeAdapter(op.result).json_schema(ref_template=REFS, mode="serialization")


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
