"""No text makes a regular expression slow: each pattern of the package is linear on hard strings made for it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hard_strings import GROWTH, STEEP, Hard, TooSlow, Use, alarm, grows, hard_strings, seconds, work

import stt_lab
from stt_lab.writing.english import either

SCREEN = 4_000  # characters: a quadratic pattern takes 20 ms for as many, a linear one less than 1
SLOW_S = 500e-9  # seconds per character from which it is measured how the time grows
WORST_S = 8e-6  # seconds per character that are too many even where the time is linear
PATIENCE_S = 8.0
STRINGS = 60  # hard strings for a pattern
FUNCTIONS = {"compile", "search", "match", "fullmatch", "finditer", "findall", "sub", "subn", "split"}
WHOLE = {"fullmatch", "match"}  # methods that look at one place; the others look at each
USES_PATTERNS = re.compile(r"\bre\.[a-z]")  # the other modules are not imported, which takes seconds
DYNAMIC = {  # patterns made of what somebody sends, by the function that makes them
    "stt_lab.text:_pattern": lambda: r"(?<!\w)(ab)(?!\w)|(?<!\w)(a\s+b)(?!\w)",
    "stt_lab.store.search:regex": lambda: r"(?<!\S)ab\s+cd\S*(?!\S)",
    "stt_lab.writing.phrases:_repeated": lambda: r"[^\W\d_]{4,}",
    "stt_lab.writing.llm_analyses:_places": lambda: r"(?<!\w)ab\s+cd(?!\w)",
    "stt_lab.library.recordings:kind": lambda: "",  # of the first 200 bytes of a file,
    "stt_lab.writing.english:either": lambda: either("questions", "asking"),
}


@dataclass(frozen=True)
class Found:
    """A pattern of the package, where it is, and the methods that are called on it."""

    where: str
    pattern: re.Pattern[str]
    methods: frozenset[str]

    def uses(self) -> list[Use]:
        """What the package does with it; every place of a text is tried unless it only asks for one."""
        made: list[Use] = []
        if not self.methods or self.methods - WHOLE:
            made.append(self.everywhere)
        if not self.methods or self.methods & WHOLE:
            made.append(self.pattern.fullmatch if self.methods == {"fullmatch"} else self.pattern.match)
        return made

    def everywhere(self, text: str) -> None:
        for _ in self.pattern.finditer(text):
            pass


def modules() -> Iterator[ModuleType]:
    for info in pkgutil.walk_packages(stt_lab.__path__, "stt_lab."):
        spec = info.module_finder.find_spec(info.name, None)  # type: ignore[call-arg]
        assert spec is not None
        assert spec.origin is not None
        if USES_PATTERNS.search(Path(spec.origin).read_text("utf-8")):
            yield importlib.import_module(info.name)


def patterns_in(value: Any, depth: int = 4) -> Iterator[re.Pattern[str]]:
    """Every pattern of text in a value: itself, or in its members."""
    if isinstance(value, re.Pattern):
        if isinstance(value.pattern, str):
            yield value
        return
    if depth == 0:
        return
    inner: Any = ()
    if isinstance(value, Mapping):
        inner = (*value.keys(), *value.values())
    elif isinstance(value, tuple | list | set | frozenset):
        inner = value
    elif isinstance(value, type) and value.__module__.startswith("stt_lab"):
        inner = vars(value).values()
    for one in inner:
        yield from patterns_in(one, depth - 1)


def source(module: ModuleType) -> ast.Module:
    assert module.__file__
    return ast.parse(Path(module.__file__).read_text("utf-8"))


def written_in(module: ModuleType, tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """The patterns inside of functions: their function, the method and the text, "" if it is made of what is sent."""
    for outer in ast.walk(tree):
        if not isinstance(outer, ast.FunctionDef):
            continue
        for call in ast.walk(outer):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and isinstance(call.func.value, ast.Name)
                and call.func.value.id == "re"
                and call.func.attr in FUNCTIONS
                and call.args
            ):
                yield outer.name, call.func.attr, text_of(call.args[0], vars(module))


def text_of(node: ast.expr, names: Mapping[str, Any]) -> str:
    """The text of a pattern; what a function puts into it counts as "ab". "" if nothing of it is written there."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (text_of(node.left, names) or "ab") + (text_of(node.right, names) or "ab")
    if isinstance(node, ast.JoinedStr):
        parts = (text_of(part, names) for part in node.values)
        return "".join(part or "ab" for part in parts)
    expression = node.value if isinstance(node, ast.FormattedValue) else node
    try:
        found = eval(compile(ast.Expression(expression), "pattern", "eval"), dict(names))
    except Exception:
        return ""
    return found.pattern if isinstance(found, re.Pattern) else found if isinstance(found, str) else ""


def methods_called(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """The methods that are called on each name: on a private one in its module, on others anywhere in the package."""
    made: dict[str, set[str]] = {}
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in FUNCTIONS:
                made.setdefault(called_in(module, node.value.id), set()).add(node.attr)
    return made


def called_in(module: str, name: str) -> str:
    return f"{module}.{name}" if name.startswith("_") else name


@cache
def everything() -> tuple[Found, ...]:
    here = {module.__name__: module for module in modules()}
    trees = {name: source(module) for name, module in here.items()}
    called = methods_called(trees)
    made: dict[tuple[str, int], Found] = {}
    for name, module in here.items():
        for variable, value in list(vars(module).items()):
            used = called.get(called_in(name, variable), set()) if isinstance(value, re.Pattern) else set()
            for pattern in patterns_in(value):
                methods = frozenset(used - {"compile"})
                made.setdefault((pattern.pattern, pattern.flags), Found(f"{name}.{variable}", pattern, methods))
        for function, method, text in written_in(module, trees[name]):
            where = f"{name}:{function}"
            if text := text or DYNAMIC.get(where, lambda: "")():
                pattern = re.compile(text)
                methods = frozenset[str]() if method == "compile" else frozenset({method})
                made.setdefault((pattern.pattern, pattern.flags), Found(where, pattern, methods))
    return tuple(made.values())


def test_every_pattern_is_found() -> None:
    found = {one.where for one in everything()}
    assert len(found) > 100
    assert {"stt_lab.engines.pii.patterns._HOUSES", "stt_lab.writing.names._BEHIND"} <= found
    assert "stt_lab.text:clean" not in found  # it uses none
    unknown = [
        f"{module.__name__}:{function}"
        for module in modules()
        for function, _, text in written_in(module, source(module))
        if not text and f"{module.__name__}:{function}" not in DYNAMIC
    ]
    assert not unknown, f"patterns that no test knows: {unknown}. Add them to DYNAMIC."


def slow(use: Use, hard: Hard, size: int) -> str:
    """What is wrong with a use of a pattern on a hard string; "" if its time grows with the length alone."""
    try:
        with alarm(PATIENCE_S):
            if seconds(use, hard(size)) < SLOW_S * size or work(use, hard(size)) < SLOW_S * size:
                return ""
            exponent = grows(use, hard, size)
            each = work(use, hard(GROWTH * size)) / (GROWTH * size)
    except TooSlow:
        return f"{hard} takes more than {PATIENCE_S:g} s at {GROWTH * size} characters"
    if exponent > STEEP:
        return f"{hard} grows with the power {exponent:.2f}"
    return f"{hard} takes {1e6 * each:.1f} µs a character" if each > WORST_S else ""


@pytest.mark.parametrize("part", range(4))
def test_patterns_are_linear(part: int) -> None:
    faults = [
        f"{one.where}: {problem}"
        for one in everything()[part::4]
        for use in one.uses()
        if (problem := next(filter(None, (slow(use, hard, SCREEN) for hard in hard_strings(one.pattern, STRINGS))), ""))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_patterns_are_linear_up_to_a_megabyte() -> None:
    """Each pattern on those of its strings that cost it most."""
    for one in everything():
        for use in one.uses():
            strings = hard_strings(one.pattern, 3 * STRINGS)
            for hard in sorted(strings, key=lambda hard: seconds(use, hard(SCREEN)))[-3:]:
                with alarm(30):
                    assert work(use, hard(1_000_000)) < WORST_S * 1_000_000, (one.where, hard)


# The reported text, and what a whole text costs beside patterns


def spans(text: str) -> list[Any]:
    from stt_lab.types import Entity

    return [Entity(match.start(), match.end(), match[0], "PERSON") for match in re.finditer(r"[^\W\d_]\w*", text)]


def tidied(text: str) -> object:
    from stt_lab.writing.names import tidied

    return tidied(text, spans(text))


def due(text: str) -> object:
    from stt_lab.types import TextSpan
    from stt_lab.writing.deadlines import due

    return due(text, TextSpan(0, len(text)), [])


def rules() -> Iterator[tuple[str, Use]]:
    from stt_lab.engines.pii.recognisers import RULES

    for kind, find in RULES.items():
        yield kind, lambda text, find=find: list(find(text))
    yield "tidied", tidied
    yield "due", due


TEXTS = {
    "A- and again": Hard("", "A-", ""),
    "towns of a street": Hard("12 High Street, Bath", ", A-A-A-A", " x"),
    "words without end": Hard("", "A", "!"),
    "one name": Hard("", "Ada ", ""),
    "a name with many surnames": Hard("", "Ada B1 Ada C2 ", ""),
    "dates of birth": Hard("", "born 1 May 1990 ", ""),
    "times": Hard("by ", "today ", ""),
    "numbers": Hard("", "1 ", "a"),
    "spoken numbers": Hard("", "one oh ", ""),
    "apostrophes": Hard("", "'s", "x"),
    "dots": Hard("", "a. ", "x"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_no_rule_reads_a_text_more_than_once(text: str) -> None:
    faults = []
    for name, use in rules():
        problem = _steep(use, TEXTS[text])
        faults += [f"{name}: {problem}"] if problem else []
    assert not faults, faults


def _steep(use: Callable[[str], object], hard: Hard) -> str:
    try:
        with alarm(PATIENCE_S):
            if seconds(use, hard(20_000)) < 0.05:
                return ""
            exponent = grows(use, hard, 5_000)
    except TooSlow:
        return f"{hard} takes more than {PATIENCE_S:g} s"
    return f"{hard} grows with the power {exponent:.2f}" if exponent > STEEP else ""
