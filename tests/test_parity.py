"""One declaration, four surfaces: HTTP, Gradio, the command line and Python have the same names, defaults and values.

Each surface is asked for what it really offers: the running application for its OpenAPI, the page for its API, the
parser for its actions, Python for its signatures.
"""

from __future__ import annotations

import argparse
import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

import stt_lab
from stt_lab import cli, operations
from stt_lab.registry import OPERATIONS, Operation
from stt_lab.server import compose, create_app
from stt_lab.settings import Settings

FILES = (
    *("transcribe", "stream", "enhance_audio", "tts", "speak"),
    *("export_transcript", "transcript_audio", "redact_transcript", "translate_transcript"),
)
CLI_EXTRAS = {name: {"output"} for name in FILES}  # only there
HTTP_EXTRAS = {"job_events", "transcriptions", "translations", "embeddings", "speech"}  # a stream, and OpenAI's API
CLI_COMMANDS = {"serve", "sign-in", "accounts", "eval", "data"}  # commands that are no operations


@dataclass(frozen=True)
class Parameter:
    """What a surface says of a parameter. `kind` is the type in JSON Schema, "file" for a recording."""

    kind: str
    required: bool
    default: object = None
    allowed: tuple[object, ...] = ()


Surface = dict[str, dict[str, Parameter]]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = tmp_path_factory.mktemp("parity")
    made = create_app(compose(Settings(data_dir=folder / "data", models_dir=folder / "models", device="cpu")))
    yield made
    made.state.installation.close()


def from_schema(schema: dict[str, Any], required: bool) -> Parameter:
    plain = without_null(schema)
    kind = "file" if plain.get("format") == "binary" else plain.get("type", "string")
    return Parameter(kind, required, schema.get("default"), tuple(plain.get("enum", ())))


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that may be left out: what it is when it is given."""
    kinds = [kind for kind in schema.get("anyOf", schema.get("oneOf", ())) if kind != {"type": "null"}]
    return kinds[0] if kinds else schema


@pytest.fixture(scope="module")
def python() -> Surface:
    return {name: {p.name: in_python(p) for p in parameters(name)} for name in operations.__all__}


def parameters(name: str) -> list[inspect.Parameter]:
    function = getattr(stt_lab, name)
    hints = typing.get_type_hints(function, include_extras=True)
    return [p.replace(annotation=hints[p.name]) for p in inspect.signature(function).parameters.values()]


def in_python(parameter: inspect.Parameter) -> Parameter:
    hint = parameter.annotation
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    if plain is Path:
        return Parameter("file", required, default)
    schema = without_null(TypeAdapter(plain).json_schema())
    return Parameter(schema["type"], required, default, tuple(schema.get("enum", ())))


@pytest.fixture(scope="module")
def http(app: FastAPI) -> Surface:
    found: Surface = {}
    for methods in app.openapi()["paths"].values():
        for described in methods.values():
            found[described["operationId"]] = in_http(described)
    assert found.keys() > HTTP_EXTRAS
    return {name: parameters for name, parameters in found.items() if name not in HTTP_EXTRAS}


def in_http(described: dict[str, Any]) -> dict[str, Parameter]:
    """Parameters of the path, the query and the body; headers belong to HTTP alone."""
    loose = [one for one in described.get("parameters", ()) if one["in"] in ("path", "query")]
    found = {one["name"]: from_schema(one["schema"], one["required"]) for one in loose}
    if "requestBody" in described:
        (body,) = described["requestBody"]["content"].values()
        needed = body["schema"].get("required", ())
        found |= {name: from_schema(schema, name in needed) for name, schema in body["schema"]["properties"].items()}
    return found


@pytest.fixture(scope="module")
def gradio(app: FastAPI) -> Surface:
    from stt_lab import ui

    endpoints = ui.build(app.state.installation).get_api_info()["named_endpoints"]
    return {
        path.removeprefix("/"): {one["parameter_name"]: in_gradio(one) for one in described["parameters"]}
        for path, described in endpoints.items()
    }


def in_gradio(one: dict[str, Any]) -> Parameter:
    required = not one["parameter_has_default"]
    default = None if required else one["parameter_default"]
    if "path" in one["type"].get("properties", {}):
        return Parameter("file", required, default)
    return from_schema(one["type"] | {"default": default}, required)


def commands() -> dict[str, argparse.ArgumentParser]:
    (group,) = [a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(group.choices)


@pytest.fixture(scope="module")
def command_line() -> Surface:
    found: Surface = {}
    for command, parser in commands().items():
        if command in CLI_COMMANDS:
            continue
        name = command.replace("-", "_")
        kept = [a for a in parser._actions if not isinstance(a, argparse._HelpAction | argparse._SubParsersAction)]
        extras = CLI_EXTRAS.get(name, set())
        assert extras <= {action.dest for action in kept}
        found[name] = {a.dest: in_cli(OPERATIONS[name], a) for a in kept if a.dest not in extras}
    return found


def in_cli(op: Operation, action: argparse.Action) -> Parameter:
    """Values are text on a command line, so types and defaults are those that come out behind the parser."""
    hint: Any = op.fields[action.dest].annotation
    if not action.option_strings:
        schema = without_null(TypeAdapter(hint).json_schema())
        kind = "file" if action.metavar == "FILE" else schema["type"]
        return Parameter(kind, required=True, allowed=tuple(action.choices or ()))
    assert f"--{action.dest.replace('_', '-')}" in action.option_strings
    assert action.default == argparse.SUPPRESS  # what is not given is left to the declaration
    _, told, shown = str(action.help).rpartition("(default: ")
    default = TypeAdapter[Any](hint).validate_python(shown.partition(")")[0]) if told else None
    kind = without_null(TypeAdapter(hint).json_schema())["type"]
    assert (kind == "boolean") == isinstance(action, argparse.BooleanOptionalAction)
    return Parameter(kind, required=False, default=default, allowed=tuple(action.choices or ()))


def test_python_has_every_operation(python: Surface) -> None:
    assert set(python) == set(OPERATIONS)
    assert set(python) <= set(dir(stt_lab))
    assert python["transcribe"]["response_format"] == Parameter(
        "string", False, "json", ("json", "txt", "text", "srt", "vtt", "verbose_json")
    )
    assert python["transcribe"]["file"] == Parameter("file", True)


@pytest.mark.parametrize("surface", ["http", "gradio", "command_line"])
def test_the_same_on_every_surface(surface: str, python: Surface, request: pytest.FixtureRequest) -> None:
    other: Surface = request.getfixturevalue(surface)
    assert other == python
    assert {name: list(fields) for name, fields in other.items()} == {n: list(f) for n, f in python.items()}  # in order


def test_limits_of_numbers_are_published(app: FastAPI) -> None:
    form = app.openapi()["paths"]["/v1/transcribe"]["post"]["requestBody"]["content"]["multipart/form-data"]
    speakers = form["schema"]["properties"]["speakers"]
    assert (speakers["minimum"], speakers["maximum"]) == (0, 20)


def test_every_surface_says_what_an_operation_does(app: FastAPI) -> None:
    described = {
        one["operationId"]: one["description"] for path in app.openapi()["paths"].values() for one in path.values()
    }
    for name, op in OPERATIONS.items():
        assert described[name] == op.description
        assert (inspect.getdoc(getattr(stt_lab, name)) or "").startswith(op.description)
        assert commands()[name.replace("_", "-")].description == op.description


def test_what_the_command_line_gives_is_what_the_operation_gets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got: list[dict[str, Any]] = []

    def call(op: Operation, values: dict[str, Any], context: object) -> dict[str, int]:
        request = op.parse(values)
        got.append({**request.values, **vars(request.options)})
        return {}

    monkeypatch.setattr(cli, "call", call)
    assert cli.main(["transcribe", "a.wav"]) == 0
    assert cli.main(["transcribe", "a.wav", "--no-diarize", "--speakers=3", "--response-format=srt"]) == 0
    defaults = {name: info.default for name, info in OPERATIONS["transcribe"].fields.items()} | {"file": Path("a.wav")}
    assert got == [defaults, defaults | {"diarize": False, "speakers": 3, "response_format": "srt"}]
    assert capsys.readouterr().err == ""
