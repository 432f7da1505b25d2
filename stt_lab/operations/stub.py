"""The types of the Python functions for editors and type checkers: `python -m stt_lab.operations.stub`.

`make docs` writes them to stt_lab/__init__.pyi. An operation that runs as a job has overloads: its result without
`background`, a JobInfo with it.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin

from stt_lab import operations
from stt_lab import types as values
from stt_lab.registry import OPERATIONS, Operation, is_media

HEADER = '''"""stt_lab: a speech-to-text workbench that runs on your own machines.

Printed by `make docs` from the declarations; do not edit.
"""
'''


@dataclass
class StubPrinter:
    """Prints signatures, and remembers what they import."""

    imports: dict[str, set[str]] = field(default_factory=dict)  # names by module

    def function(self, op: Operation) -> Iterator[str]:
        """The lines of an operation: one signature, or overloads with the widest last."""
        if not op.job:
            texts = f" | {self._named(values.Rendering)}" if op.texts else ""
            yield from self._signature(op, {}, self.kind(op.result) + texts, documented=True)
            return
        plain = {"background": "Literal[False] = False"}
        result, job = self.kind(op.result), self._named(values.JobInfo)
        chosen = op.presentation.chosen_by if op.presentation else None
        if chosen:
            name, own = chosen
            others = [value for value in get_args(_bare(op.signature.parameters[name].annotation)) if value != own]
            rendering = self._named(values.Rendering)
            yield from self._overload(op, {name: f"{_literal([own])} = {own!r}"} | plain, result, documented=True)
            yield from self._overload(op, {name: _literal(others)} | plain, rendering)
            everything = f"{result} | {rendering} | {job}"
        else:
            yield from self._overload(op, plain, result, documented=True)
            everything = f"{result} | {job}"
        yield from self._overload(op, {"background": "Literal[True]"}, job)
        yield from self._overload(op, {}, everything)

    def _overload(self, op: Operation, fixed: dict[str, str], result: str, documented: bool = False) -> Iterator[str]:
        self.imports.setdefault("typing", set()).update({"Literal", "overload"})
        yield "@overload"
        yield from self._signature(op, fixed, result, documented)

    def _signature(self, op: Operation, fixed: dict[str, str], result: str, documented: bool = False) -> Iterator[str]:
        """`fixed` holds other types of parameters; one without a default makes what follows it keyword-only."""
        yield f"def {op.name}("
        keywords = False
        for name, parameter in op.signature.parameters.items():
            required = name in fixed and "=" not in fixed[name]
            if required and not keywords:
                yield "    *,"
                keywords = True
            yield f"    {name}: {fixed.get(name) or self._parameter(op, name, parameter)},"
        yield f") -> {result}:" if documented else f") -> {result}: ..."
        if documented:
            lines = (inspect.getdoc(getattr(operations, op.name)) or "").splitlines()
            yield f'    """{lines[0]}'
            yield from (f"    {line}".rstrip() for line in lines[1:])
            yield '    """'
            yield "    ..."

    def _parameter(self, op: Operation, name: str, parameter: inspect.Parameter) -> str:
        kind = self.kind(parameter.annotation)
        if is_media(op.fields[name]):
            kind = f"str | {kind}"
        return kind if parameter.default is parameter.empty else f"{kind} = {parameter.default!r}"

    def kind(self, annotation: Any) -> str:
        """A type as it is written; classes of modules are imported."""
        annotation = _bare(annotation)
        origin, inner = get_origin(annotation), get_args(annotation)
        if annotation is Any:
            self.imports.setdefault("typing", set()).add("Any")
            return "Any"
        if annotation is None or annotation is type(None):
            return "None"
        if origin is Literal:
            self.imports.setdefault("typing", set()).add("Literal")
            return _literal(inner)
        if origin in (typing.Union, types.UnionType):
            return " | ".join(map(self.kind, inner))
        if origin is not None:
            inside = ", ".join("..." if one is ... else self.kind(one) for one in inner)
            return f"{self._named(origin)}[{inside}]"
        return self._named(annotation)

    def _named(self, kind: type) -> str:
        if kind.__module__ != "builtins":
            module = "pathlib" if kind.__module__.startswith("pathlib") else kind.__module__
            self.imports.setdefault(module, set()).add(kind.__name__)
        return kind.__name__


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _literal(choices: Iterable[object]) -> str:
    return f"Literal[{', '.join(map(repr, choices))}]"


def stub() -> str:
    """The whole file."""
    printer = StubPrinter()
    functions = ["\n".join(printer.function(op)) for op in OPERATIONS.values() if op.name in operations.__all__]
    for name in values.__all__:
        printer.imports.setdefault("stt_lab.types", set()).add(name)
    names = sorted([*operations.__all__, *values.__all__])
    exported = ", ".join(f'"{name}"' for name in names)
    lines = [
        f"from {module} import " + ", ".join(f"{name} as {name}" for name in sorted(found))
        for module, found in sorted(printer.imports.items())
    ]
    return "\n".join([HEADER, *lines, "", f"__all__ = [{exported}]", "__version__: str", "", *functions, ""])


if __name__ == "__main__":
    print(stub(), end="")
