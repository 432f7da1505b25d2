"""Check values from outside: what UTF-8, JSON or the database cannot hold is refused before anything else looks at it.

Every surface passes here: `registry` checks the parameters of each call, and HTTP and Gradio's API parse their bodies
with `parse_json`. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from stt_lab.errors import BadInput, TooLarge

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]  # of ASGI
MB = 1024 * 1024
DEPTH = 32  # levels of lists and objects inside each other
LARGEST = 2**63 - 1  # whole number that the database can hold
NOT_JSON = "The body is not valid JSON. Send a JSON object in UTF-8 with the content type application/json."
NOT_UTF_8 = "is not valid UTF-8. Encode it as UTF-8"


def check_parameters(values: Mapping[str, Any]) -> None:
    """Check the parameters of a call. Raises BadInput, which names the parameter."""
    for name, value in values.items():
        check(name, "The name of a parameter")
        check(value, f"The parameter '{name[:80]}'")


def check(value: object, about: str = "The request") -> None:
    """Raise BadInput for text that UTF-8 cannot hold, NUL, numbers that JSON cannot hold, and deep nesting.

    Values of other kinds, such as paths, pass. `about` begins the error's sentence.
    """
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, str):
            _check_text(one, about)
        elif isinstance(one, int | float):
            _check_number(one, about)
        elif isinstance(one, Mapping | list | tuple | set | frozenset):
            if depth == DEPTH:
                raise BadInput(f"{about} is nested more than {DEPTH} levels deep. Send it with fewer levels.")
            inside = [part for pair in one.items() for part in pair] if isinstance(one, Mapping) else one
            waiting += [(part, depth + 1) for part in inside]


def _check_text(text: str, about: str) -> None:
    if "\0" in text:
        raise BadInput(f"{about} contains a NUL character. Remove it.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as problem:
        code = f"U+{ord(text[problem.start]):04X}"
        raise BadInput(f"{about} contains half of a character ({code}), which UTF-8 cannot hold. Remove it.") from None


def _check_number(number: float, about: str) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise BadInput(f"{about} contains a number that is not finite (NaN or Infinity). Send a finite number.")
    if isinstance(number, int) and abs(number) > LARGEST:
        raise BadInput(f"{about} contains a number with more than 64 bits. Send a smaller one.")


def parse_json(raw: bytes) -> Any:
    """Parse and check the JSON of a body. Raises BadInput, also for an object with the same name twice."""
    try:
        value = json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_object)
    except RecursionError:
        raise BadInput(f"The body is nested more than {DEPTH} levels deep. Send it with fewer levels.") from None
    except ValueError:
        raise BadInput(NOT_JSON) from None
    check(value, "The body")
    return value


async def checked_json(receive: Receive, limit: int) -> Receive:
    """Read the JSON body of an ASGI request and check it. Return a `receive` that yields it again.

    Raises BadInput, and TooLarge beyond `limit` bytes.
    """
    body = bytearray()
    message: MutableMapping[str, Any] = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            break  # for the application to see
        body += message.get("body", b"")
        if len(body) > limit:
            raise TooLarge(f"The request is larger than {limit // MB} MB. Split the text.")
    else:
        parse_json(bytes(body))
        message = {"type": "http.request", "body": bytes(body), "more_body": False}
    first = [message]

    async def again() -> MutableMapping[str, Any]:
        return first.pop() if first else await receive()

    return again


def _refuse_constant(name: str) -> None:
    raise BadInput(f"The body contains {name}, which is not JSON. Send a finite number.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise BadInput("An object of the body has the same name twice. Send each name once.")
    return made


def decode(raw: bytes, about: str) -> str:
    """Decode bytes that a client sent as text. Raises BadInput."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{about} {NOT_UTF_8}.") from None
    check(text, about)
    return text


def check_address(path: bytes, query: bytes) -> None:
    """Check the path and the query of a request, percent-encoded as they were sent. Raises BadInput."""
    decode(unquote_to_bytes(path), "The path of the address")
    decode(unquote_to_bytes(query), "The query of the address")


def repaired(text: str) -> str:
    """Return a text as UTF-8 can hold it: pairs of halves become their character, single halves U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
