"""stt_lab.registry: declaration, validation and the one gate."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from fakes import fakes_fixture  # noqa: F401
from pydantic import Field

import stt_lab
import stt_lab.operations
from stt_lab.caller import ADMINISTRATOR, ADMINISTRATOR_ID, ANONYMOUS, ANONYMOUS_ID, LOCAL, SCOPES, Caller
from stt_lab.errors import BadInput, Cancelled, Forbidden, MissingFile, NotFound, SttError, Unauthorized
from stt_lab.registry import (
    OPERATIONS,
    Charge,
    Context,
    JobOptions,
    Media,
    Operation,
    Request,
    authorize,
    call,
    current,
    operation,
    perform,
)
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings
from stt_lab.store import models
from stt_lab.types import Event, File


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
    current().meter(61)
    current().report(Event("joining"))
    return f"{file} {times} {shout}"


def nothing() -> str:
    """Take nothing."""
    return current().caller.name


def refuse(shout: bool, **others: object) -> str:
    if shout:
        raise NotFound(f"Nobody shouts here, {current().caller.name}.")
    return "quietly"


def counting(up_to: int) -> Iterator[str]:
    """Say who counts, and to what."""
    for number in range(up_to):
        yield f"{current().caller.name} {number}"


def tape(up_to: int) -> File:
    """Make a file step by step."""
    return File("tape.txt", "text/plain", (line.encode() for line in counting(up_to)))


ECHO = Operation(
    fn=echo, method="POST", path="/v1/echo", scope="speech", anonymous=True, charge=Charge("input"), plan=refuse
)
NOTHING = Operation(fn=nothing, method="GET", path="/v1/nothing", scope="secrets")
COUNTING = Operation(fn=counting, method="GET", path="/v1/counting")
TAPE = Operation(fn=tape, method="GET", path="/v1/tape")


@pytest.fixture
def runtime(fakes: Callable[..., Settings]) -> Iterator[Runtime]:
    made = Runtime(fakes())
    yield made
    made.close()


def test_a_declaration_is_read_from_the_signature() -> None:
    assert (ECHO.name, ECHO.summary, ECHO.file_params) == ("echo", "Say it again.", ("file",))
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
    request = ECHO.parse({"file": "a.wav", "times": "2", "shout": "1"})
    assert request.values == {
        "file": Path("a.wav"),
        "style": "plain",
        "times": 2,
        "shout": True,
    }


@pytest.mark.parametrize(
    ("given", "expected"), [("true", True), ("false", False), ("1", True), ("0", False), (True, True)]
)
def test_booleans_of_clients(given: object, expected: bool) -> None:
    assert ECHO.parse({"file": "a", "shout": given}).values["shout"] is expected


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
    assert sentence.count(". ") <= 1
    assert "\n" not in sentence
    assert len(sentence) < 300


def test_an_operation_without_parameters_says_so() -> None:
    with pytest.raises(BadInput, match="nothing takes no parameters"):
        NOTHING.parse({"x": "1"})


class Till:
    """A gate that notes what it was told, and takes minutes."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def run(self, request: Request, context: Context) -> Any:
        charge = request.op.charge
        assert charge is not None
        self.notes.append((request.op.name, request.values, request.plan, context.caller.name, context.idempotency_key))
        try:
            meter = lambda seconds: self.notes.append(charge.credits(seconds))  # noqa: E731
            return perform(request, replace(context, meter=meter))
        finally:
            self.notes.append("out")


def test_the_gate_stands_before_the_work(runtime: Runtime) -> None:
    till, events = Till(), list[Event]()
    context = Context(ANONYMOUS, runtime, events.append, till, idempotency_key="k")
    assert call(ECHO, {"file": "a", "times": "2"}, context) == "a 2 False"
    values = {"file": Path("a"), "style": "plain", "times": 2, "shout": False}
    assert till.notes == [("echo", values, "quietly", "anonymous", "k"), 2, "out"]  # 61 s are two minutes
    assert events == [Event("joining")]


def test_the_gate_hears_of_failures(runtime: Runtime) -> None:
    till = Till()
    with pytest.raises(Cancelled):
        call(ECHO, {"file": "a", "style": "loud"}, Context(ANONYMOUS, runtime, gate=till))
    assert till.notes[-1] == "out"


@pytest.mark.parametrize(
    ("values", "kind"),
    [({"file": "a", "times": 9}, BadInput), ({}, MissingFile), ({"file": "a", "shout": True}, NotFound)],
)
def test_bad_values_do_not_reach_the_gate(values: dict[str, Any], kind: type[SttError], runtime: Runtime) -> None:
    till = Till()
    with pytest.raises(kind):
        call(ECHO, values, Context(ANONYMOUS, runtime, gate=till))
    assert till.notes == []


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 0), (0.1, 1), (60, 1), (60.01, 2), (3600, 60)])
def test_prices(seconds: float, minutes: int) -> None:
    assert ECHO.charge is not None
    assert ECHO.charge.credits(seconds) == minutes
    assert NOTHING.charge is None


def test_without_a_server_nothing_goes_into_the_background() -> None:
    for values in ({"background": True}, {"webhook_url": "https://example.org"}):
        with pytest.raises(BadInput, match="stt-lab serve"):
            stt_lab.transcribe("a.wav", **values)


def test_background_has_an_alias() -> None:
    op = OPERATIONS["transcribe"]
    assert op.parse({"file": "a", "async": "true"}).options == JobOptions(background=True)
    assert op.parse({"file": "a"}).options == JobOptions()
    assert "background" not in op.parse({"file": "a", "async": "true"}).values
    for values in ({"async": "perhaps"}, {"async": "1", "background": "1"}):
        with pytest.raises(BadInput, match="'async'"):
            op.parse({"file": "a", **values})


def test_parameters_of_the_path() -> None:
    assert OPERATIONS["export_transcript"].path_params == ("id", "format")
    assert OPERATIONS["transcribe"].path_params == ()
    for op in OPERATIONS.values():
        assert set(op.path_params) <= set(op.fields), op.name


def test_scopes(runtime: Runtime) -> None:
    guest = Caller("guest", frozenset({"speech"}), account_id=7)
    with pytest.raises(Unauthorized, match="nothing needs a key"):
        call(NOTHING, {}, Context(ANONYMOUS, runtime))
    with pytest.raises(Forbidden, match="'secrets'"):
        call(NOTHING, {}, Context(guest, runtime))
    assert call(NOTHING, {}, Context(ADMINISTRATOR, runtime)) == "administrator"
    assert call(NOTHING, {}, Context(replace(guest, scopes=frozenset({"secrets"})), runtime)) == "guest"


def test_the_accounts_that_every_store_has() -> None:
    assert (ADMINISTRATOR_ID, ANONYMOUS_ID) == (models.ADMINISTRATOR_ID, models.ANONYMOUS_ID)
    assert [one.account_id for one in (ADMINISTRATOR, LOCAL, ANONYMOUS)] == [1, 1, 2]
    assert ANONYMOUS.anonymous
    assert not LOCAL.anonymous


def test_the_context_ends_with_the_call(runtime: Runtime) -> None:
    call(NOTHING, {}, Context(ADMINISTRATOR, runtime))
    with pytest.raises(Cancelled):
        call(ECHO, {"file": "a", "style": "loud"}, Context(ANONYMOUS, runtime))
    with pytest.raises(RuntimeError, match="No operation"):
        current()


def test_a_generator_keeps_its_caller_at_each_step_and_in_threads(runtime: Runtime) -> None:
    guest = Caller("guest", account_id=7)
    steps = call(COUNTING, {"up_to": 3}, Context(guest, runtime))
    with ThreadPoolExecutor(1) as other:
        assert next(steps) == "guest 0"
        assert other.submit(next, steps).result() == "guest 1"
        with pytest.raises(RuntimeError, match="No operation"):
            other.submit(current).result()
    assert list(steps) == ["guest 2"]
    made = call(TAPE, {"up_to": 2}, Context(guest, runtime))
    assert list(made.chunks) == [b"guest 0", b"guest 1"]


def test_a_permit_calls_as_its_caller(runtime: Runtime) -> None:
    permit = authorize(NOTHING, ADMINISTRATOR)
    assert permit.call({}, Context(ANONYMOUS, runtime)) == "administrator"
    assert permit.call({}, Context(ANONYMOUS, runtime), lambda name, values: name.upper()) == "ADMINISTRATOR"


def test_a_charge_by_output_needs_an_estimate() -> None:
    assert Charge("output", estimate=lambda **values: 3.0).credits(61) == 2
    for wrong in (lambda: Charge("output"), lambda: Charge("input", estimate=lambda **values: 1.0)):
        with pytest.raises(TypeError, match="estimate"):
            wrong()


def test_python_functions_validate_and_keep_their_signature() -> None:
    assert list(inspect.signature(stt_lab.transcribe).parameters)[:2] == ["file", "model"]
    with pytest.raises(BadInput, match="'speakers'"):
        stt_lab.transcribe("a.wav", speakers=-1)
    with pytest.raises(MissingFile):
        stt_lab.transcribe("")
    with pytest.raises(TypeError):
        stt_lab.transcribe("a.wav", pace=1)


ANY_KEY = {"health", "languages", "model", "models", "translation_languages", "voices"}
JOBS = {"transcribe", "enhance_audio", "tts", "pull_model", "diarize_transcript", "transcribe_transcript"}
WITHOUT_A_KEY = {"transcribe", "model", "models", "voices", "languages", "health", "job", "job_result", "cancel_job"}


def test_who_may_use_what() -> None:
    assert {name for name, op in OPERATIONS.items() if op.scope is None} == ANY_KEY
    assert {name for name, op in OPERATIONS.items() if op.anonymous} == WITHOUT_A_KEY
    for op in OPERATIONS.values():
        assert op.scope in (None, *SCOPES)
        assert ADMINISTRATOR.may(op.scope)
        assert op.scope != "account" or op.path.startswith("/api/v1/")
    assert {name for name, op in OPERATIONS.items() if op.job} == JOBS
