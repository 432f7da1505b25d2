"""stt_lab.child: programs that exchange messages with their parent, and what they get of its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import pytest
from fakes import until

from stt_lab.child import PACKAGES, Child, Lines, Pickles, clean_environ

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
Start = Callable[..., Child]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as ends:

        def begin(code: str, wire: type[Lines | Pickles] = Lines, **how: Any) -> Child:
            child = Child([sys.executable, "-c", code], clean_environ(), wire, **how)
            ends.callback(child.end)
            return child

        yield begin


def test_messages_cross_in_order(start: Start) -> None:
    child = start(ECHO)
    for number in range(3):
        child.send({"number": number})
    assert [child.receive(10) for _ in range(3)] == [{"number": number} for number in range(3)]
    assert child.receive(0.01) is None
    assert child.alive


def test_the_end_of_a_program_is_its_last_message(start: Start) -> None:
    child = start("print('[1]'); print('half a line', end='')")
    assert child.receive(10) == [1]
    for _ in range(2):
        with pytest.raises(EOFError):
            child.receive(10)
    child.send("nobody reads this")


def test_lines_run_no_code(start: Start) -> None:
    child = start("import pickle, sys; sys.stdout.buffer.write(pickle.dumps(print)); sys.stdout.flush()")
    with pytest.raises(EOFError):
        child.receive(10)


def test_what_cannot_be_pickled_spoils_no_other_message(start: Start) -> None:
    code = "import pickle, sys; sys.stdout.buffer.write(pickle.dumps(pickle.load(sys.stdin.buffer)))"
    child = start(code, Pickles)
    with pytest.raises((AttributeError, TypeError)):
        child.send(lambda: None)
    child.send("whole")
    assert child.receive(10) == "whole"


def test_last_words(start: Start) -> None:
    child = start("import sys; sys.exit('x' * 5000 + ' the end')", stderr="keep")
    with pytest.raises(EOFError):
        child.receive(10)
    assert child.process.wait(10) == 1
    assert child.stderr_tail().endswith("the end\n")
    assert len(child.stderr_tail()) == 2000


def test_a_program_that_is_ended(start: Start) -> None:
    child = start("import time; time.sleep(600)")
    process = psutil.Process(child.process.pid)
    child.end()
    child.end()
    assert not process.is_running()
    with pytest.raises(EOFError):
        child.receive(0)


def test_a_session_of_its_own(start: Start) -> None:
    child = start("import os; print(os.getsid(0), flush=True)")
    assert child.receive(10) == child.process.pid != os.getsid(0)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(OSError):
        Child(["/nowhere/to/be/found"], {})


def test_a_program_ends_with_its_stdin(start: Start) -> None:
    child = start(ECHO)
    assert child.process.stdin is not None
    child.process.stdin.close()
    until(lambda: not child.alive)


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STT_LAB_ADMIN_KEY", "HF_TOKEN", "OPENBLAS_CORETYPE", "PGPASSWORD"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("PYTHONPATH", "/own")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    plain, more, other = clean_environ(), clean_environ("CUDA"), clean_environ(own_python=False)
    assert "s3cret" not in {*plain.values(), *more.values(), *other.values()}
    assert plain["PYTHONPATH"] == os.pathsep.join([str(PACKAGES), "/own"])
    assert "PYTHONPATH" not in other
    assert ("CUDA_VISIBLE_DEVICES" in plain, "CUDA_VISIBLE_DEVICES" in more) == (False, True)
    assert plain["PATH"] == os.environ["PATH"]
