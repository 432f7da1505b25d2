"""The command line, generated from the operations: required parameters are positional, the others are options.

Besides the operations there are `serve`, `sign-in`, the laboratory's commands (cli.lab), and three groups for the owner
of the machine, which also work while a server runs: `models list | pull | doctor`, `accounts list | create | ...` and
`keys list | create | revoke`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import stt_lab.operations  # noqa: F401  declares the operations
from stt_lab import __version__
from stt_lab.caller import LOCAL
from stt_lab.cli.arguments import add_argument
from stt_lab.cli.groups import GROUPS, HELP
from stt_lab.cli.lab import GROUPS as LAB_GROUPS
from stt_lab.cli.lab import HELP as LAB_HELP
from stt_lab.cli.live import show_live
from stt_lab.errors import BadInput, SttError
from stt_lab.presentation import body
from stt_lab.registry import OPERATIONS, Context, Operation, call
from stt_lab.runtime import Runtime, private_runtime
from stt_lab.settings import get_settings
from stt_lab.types import Event, File


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="stt-lab", description="A speech-to-text workbench on your own machine.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for op in OPERATIONS.values():
        command = commands.add_parser(op.name.replace("_", "-"), help=op.summary, description=op.description)
        command.set_defaults(run=_run_operation, op=op)
        for name, info in op.fields.items():
            add_argument(command, name, info)
        if op.file_params or op.result is File:
            command.add_argument("-o", "--output", type=Path, help="Folder for the results")
        if op.name in GROUPS:
            GROUPS[op.name](command)
    for name, add in (GROUPS | LAB_GROUPS).items():
        if name not in OPERATIONS:
            add(commands.add_parser(name, help=(HELP | LAB_HELP)[name]))
    server = commands.add_parser("serve", help="Serve the page and the API.")
    server.add_argument("--host", help="Address to listen on (default: GRADIO_SERVER_NAME or 127.0.0.1)")
    server.add_argument("--port", type=int, help="Port to listen on (default: GRADIO_SERVER_PORT or 7860)")
    server.set_defaults(run=_serve)
    sign_in = commands.add_parser("sign-in", help="Print an address that signs the administrator in, once.")
    sign_in.add_argument("--url", help="Address of the server (default: the one that runs on the data directory)")
    sign_in.set_defaults(run=_sign_in)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Return 0 on success, 1 after an error, 130 after Ctrl-C."""
    options = vars(parser().parse_args(arguments))
    run: Callable[..., int] = options.pop("run")
    options.pop("command")
    try:
        status = run(**options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("stt-lab: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `stt-lab ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
    except (SttError, OSError) as problem:
        print(f"stt-lab: {problem}", file=sys.stderr)
    return 1


def _run_operation(op: Operation, output: Path | None = None, **values: Any) -> int:
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)  # before the work, so that a wrong folder fails at once
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # exit normally, so that temporary files are removed
    runtime = private_runtime(get_settings())
    if not op.file_params:
        _show(_call(op, values, runtime), output)
        return 0
    (media,) = op.file_params
    failed = 0
    written: set[Path] = set()
    for name in values.pop(media):
        try:
            result = _call(op, values | {media: Path(name)}, runtime)
            if op.live:
                result = show_live(result, quiet=output is not None)
        except SttError as problem:
            failed += 1
            print(f"stt-lab: {name}: {problem}", file=sys.stderr)
            continue
        if isinstance(result, File):
            written.add(_write_file(output or Path(), Path(name), result, written))
        elif output is None and not op.live:
            print(body(result).text, flush=True)
        elif output is not None:
            written.add(_write(output, Path(name), result, written))
    return min(failed, 1)


def _show(result: Any, folder: Path | None) -> None:
    """Print a result; write a file to stdout or into a folder."""
    if not isinstance(result, File):
        print(body(result).text)
        return
    for warning in result.warnings:
        print(f"stt-lab: {warning}", file=sys.stderr)
    if folder is not None:
        print(result.save(folder))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.writelines(result.chunks)


def _call(op: Operation, values: dict[str, Any], runtime: Runtime) -> Any:
    with _Progress() as report:
        return call(op, values, Context(LOCAL, runtime, report))


def _write(folder: Path, source: Path, result: Any, written: Container[Path]) -> Path:
    """Write a result into a folder and return its path. A second source of the same name gets a number."""
    made = body(result)
    names = (f"{source.stem}{f'-{number}' if number > 1 else ''}.{made.suffix}" for number in count(1))
    target = next(path for path in map(folder.joinpath, names) if path not in written)
    target.write_text(made.text + "\n", "utf-8")
    print(target, flush=True)
    return target


def _write_file(folder: Path, source: Path, file: File, written: Container[Path]) -> Path:
    """Write a file that was made of a recording, under the recording's name; never over another file."""
    for warning in file.warnings:
        print(f"stt-lab: {warning}", file=sys.stderr)
    kind = Path(file.name)
    names = (f"{source.stem}-{kind.stem}{f'-{number}' if number > 1 else ''}{kind.suffix}" for number in count(1))
    target = next(path for path in map(folder.joinpath, names) if path not in written and not path.exists())
    shown = " ".join(f"{name.removeprefix('X-')}: {value or 'none'}." for name, value in file.headers.items())
    print(replace(file, name=target.name).save(folder), flush=True)
    print(shown, file=sys.stderr)
    return target


@dataclass
class _Progress:
    """Shows a progress bar per stage on stderr, if that is a terminal."""

    bar: Any = None
    stage: str = ""
    shown: bool = field(default_factory=lambda: sys.stderr.isatty())

    def __call__(self, event: Event) -> None:
        if not self.shown:
            return
        if event.stage != self.stage:
            from tqdm import tqdm

            self.__exit__()
            self.bar = tqdm(
                total=100, desc=event.stage, unit="%", leave=False, bar_format="{desc:13} {bar} {percentage:3.0f} %"
            )
            self.stage = event.stage
        self.bar.update(round(event.fraction * 100) - self.bar.n)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *raised: object) -> None:
        if self.bar is not None:
            self.bar.close()
        self.bar, self.stage = None, ""


def _serve(host: str | None, port: int | None) -> int:
    from stt_lab.server import serve

    serve(host, port)
    return 0


def _sign_in(url: str | None) -> int:
    from stt_lab.accounts.access import sign_in_address
    from stt_lab.accounts.one_time_tokens import sign_in_tokens
    from stt_lab.scratch import running_address

    folder = get_settings().data_dir
    base = url or running_address(folder)
    if base is None:
        raise BadInput(
            f"No server runs on the data directory {folder}. Start one with `stt-lab serve`, or set STT_LAB_DATA_DIR "
            "to that of your server."
        )
    print(
        f"This address signs you in as the administrator, once, within 15 minutes:\n"
        f"{sign_in_address(base, sign_in_tokens(folder))}"
    )
    return 0
