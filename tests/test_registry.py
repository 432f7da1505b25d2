"""stt_lab.registry: declaration, validation and the one gate."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from fakes import fakes_fixture  # noqa: F401
from pydantic import Field

import stt_lab
import stt_lab.operations
from stt_lab.errors import BadInput, Cancelled, Forbidden, MissingFile, SttError
from stt_lab.registry import (
    ADMINISTRATOR,
    ANONYMOUS,
    OPERATIONS,
    Caller,
    Context,
    Media,
    Operation,
    call,
    current,
    operation,
)
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings
from stt_lab.types import Event


def echo(
    file: Media,
    style: Annotated[Literal["plain", "loud"], Field(description="how to say it")] = "plain",
    times: Annotated[int, Field(ge=1, le=3, description="how often")] = 1,
    shout: bool = False,
) -> str:
    """Say it again.

    And more of that.
    """
    if style == "loud":
        raise Cancelled("Enough.")
    current().report(Event("joining"))
    return f"{file} {times} {shout}"


def nothing() -> str:
    """Take nothing."""
    return current().caller.name


ECHO = Operation(fn=echo, method="POST", path="/v1/echo", scope="speech", price=len)
NOTHING = Operation(fn=nothing, method="GET", path="/v1/nothing", scope="secrets")


@pytest.fixture
def runtime(fakes: Callable[..., Settings]) -> Iterator[Runtime]:
    made = Runtime(fakes())
    yield made
    made.close()


def test_a_declaration_is_read_from_the_signature() -> None:
    assert (ECHO.name, ECHO.summary, ECHO.media) == ("echo", "Say it again.", ("file",))
    assert list(ECHO.fields) == ["file", "style", "times", "shout"]
    assert ECHO.signature.parameters["times"].default == 1
    assert typing.get_origin(ECHO.signature.parameters["times"].annotation) is Annotated  # resolved, not a string
    assert ECHO.signature.return_annotation is str


def test_an_operation_needs_words_and_a_name_of_its_own() -> None:
    def mute() -> None: ...

    def health() -> None:
        """Say so again."""

    before = dict(OPERATIONS)
    with pytest.raises(TypeError, match="docstring"):
        operation("GET", "/v1/mute")(mute)
    with pytest.raises(TypeError, match="declared twice"):
        operation("GET", "/v1/health")(health)
    assert before == OPERATIONS
    assert OPERATIONS


def test_values_of_a_form_are_converted() -> None:
    assert ECHO.parse({"file": "a.wav", "times": "2", "shout": "1"}) == {
        "file": Path("a.wav"),
        "style": "plain",
        "times": 2,
        "shout": True,
    }


@pytest.mark.parametrize(
    ("given", "expected"), [("true", True), ("false", False), ("1", True), ("0", False), (True, True)]
)
def test_booleans_of_clients(given: object, expected: bool) -> None:
    assert ECHO.parse({"file": "a", "shout": given})["shout"] is expected


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({}, MissingFile, ["'file'"]),
        ({"file": ""}, MissingFile, ["'file'"]),
        ({"file": None}, MissingFile, ["'file'"]),
        ({"file": "a", "times": "many"}, BadInput, ["'times'", "how often", "'many'"]),
        ({"file": "a", "times": "4"}, BadInput, ["'times'", "less than or equal to 3"]),
        ({"file": "a", "style": "x" * 999}, BadInput, ["'style'", "'plain' or 'loud'"]),
        ({"file": "a", "pace": "1"}, BadInput, ["'pace'", "file, style, times, shout"]),
        ({"file": "a", "y" * 999: "1"}, BadInput, ["yyy"]),
    ],
)
def test_bad_values_become_one_sentence(values: dict[str, Any], kind: type[SttError], words: list[str]) -> None:
    with pytest.raises(kind) as caught:
        ECHO.parse(values)
    sentence = str(caught.value)
    assert all(word in sentence for word in words), sentence
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert "\n" not in sentence
    assert len(sentence) < 300


def test_an_operation_without_parameters_says_so() -> None:
    with pytest.raises(BadInput, match="nothing takes none"):
        NOTHING.parse({"x": "1"})


class Till:
    """A gate that notes what it was told."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    @contextmanager
    def admit(self, op: Operation, caller: Caller) -> Iterator[Callable[[int], None]]:
        self.notes.append(("in", op.name, caller.name))
        try:
            yield self.notes.append
        finally:
            self.notes.append("out")


def test_the_gate_takes_the_price_of_what_succeeded(runtime: Runtime) -> None:
    till, events = Till(), list[Event]()
    context = Context(ANONYMOUS, runtime, events.append)
    assert call(ECHO, {"file": "a", "times": 2}, context, till) == "a 2 False"
    assert till.notes == [("in", "echo", "anonymous"), len("a 2 False"), "out"]
    assert events == [Event("joining")]


def test_the_gate_gives_back_what_failed(runtime: Runtime) -> None:
    till = Till()
    with pytest.raises(Cancelled):
        call(ECHO, {"file": "a", "style": "loud"}, Context(ANONYMOUS, runtime), till)
    assert till.notes == [("in", "echo", "anonymous"), "out"]


@pytest.mark.parametrize(("values", "kind"), [({"file": "a", "times": 9}, BadInput), ({}, MissingFile)])
def test_bad_values_are_not_admitted(values: dict[str, Any], kind: type[SttError], runtime: Runtime) -> None:
    till = Till()
    with pytest.raises(kind):
        call(ECHO, values, Context(ANONYMOUS, runtime), till)
    assert till.notes == []


def test_scopes(runtime: Runtime) -> None:
    with pytest.raises(Forbidden, match="'secrets'"):
        call(NOTHING, {}, Context(ANONYMOUS, runtime))
    assert call(NOTHING, {}, Context(ADMINISTRATOR, runtime)) == "administrator"
    assert call(NOTHING, {}, Context(Caller("guest", frozenset({"secrets"})), runtime)) == "guest"


def test_the_context_ends_with_the_call(runtime: Runtime) -> None:
    call(NOTHING, {}, Context(ADMINISTRATOR, runtime))
    with pytest.raises(Cancelled):
        call(ECHO, {"file": "a", "style": "loud"}, Context(ANONYMOUS, runtime))
    assert current().caller.name == "local"


def test_python_functions_validate_and_keep_their_signature() -> None:
    assert list(inspect.signature(stt_lab.transcribe).parameters)[:2] == ["file", "model"]
    with pytest.raises(BadInput, match="'speakers'"):
        stt_lab.transcribe("a.wav", speakers=-1)
    with pytest.raises(MissingFile):
        stt_lab.transcribe("")
    with pytest.raises(TypeError):
        stt_lab.transcribe("a.wav", pace=1)


def test_every_declared_operation_is_open_or_names_a_scope_that_somebody_has() -> None:
    assert {"transcribe", "models", "languages", "health"} <= set(OPERATIONS)
    for op in OPERATIONS.values():
        assert ADMINISTRATOR.may(op.scope)
        assert ANONYMOUS.may(op.scope), f"{op.name} should be open to anonymous callers"
