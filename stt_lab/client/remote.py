"""Call operations of a server by their declarations: method, path, parameters and result type."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from stt_lab.client.reading import transcript_of, value_of
from stt_lab.client.transport import Transport
from stt_lab.errors import BadInput, MissingFile
from stt_lab.types import Transcript

FileSource = str | Path | BinaryIO


class Remote:
    """The operations of one server."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def call(self, operation: str, /, *, once: bool = False, kind: Any = None, **values: Any) -> Any:
        """Call an operation. A POST gets an Idempotency-Key, so that it can be repeated, unless `once`. `kind` is the
        type of the answer, if that is not the operation's result."""
        method, path, loose, declared = self._plan(operation, values)
        kind = kind or declared
        place = "params" if method in ("GET", "DELETE") else "json"
        key = str(uuid.uuid4()) if method == "POST" and not once else None
        body = self.transport.json(method, path, lambda: {place: loose}, key)
        return transcript_of(body) if kind is Transcript else value_of(kind, body)

    def upload(self, operation: str, source: FileSource, key: str, kind: Any, **values: Any) -> Any:
        """Call an operation with a file, which is streamed and never held in memory."""
        method, path, loose, _ = self._plan(operation, values)
        with _opened(source) as (name, file):
            parts = {"data": loose, "files": {"file": (name, file, "application/octet-stream")}}
            again = key if file.seekable() else None  # httpx rewinds the file for each attempt
            return value_of(kind, self.transport.json(method, path, lambda: parts, again))

    @contextmanager
    def download(self, operation: str, **values: Any) -> Iterator[Iterator[bytes]]:
        """Stream the bytes of a file."""
        method, path, loose, _ = self._plan(operation, values)
        with self.transport.open(method, path, lambda: {"json" if method == "POST" else "params": loose}) as answer:
            yield answer.iter_bytes()

    @contextmanager
    def convert(self, operation: str, source: FileSource, name: str, **values: Any) -> Iterator[Iterator[bytes]]:
        """Send a recording as the parameter `name`; stream the bytes of the file that is made of it."""
        method, path, loose, _ = self._plan(operation, values)
        with _opened(source) as (shown, file):
            parts = {"data": loose, "files": {name: (shown, file, "application/octet-stream")}}
            key = str(uuid.uuid4()) if file.seekable() else None  # httpx rewinds the file for each attempt
            with self.transport.open(method, path, lambda: parts, key) as answer:
                yield answer.iter_bytes()

    @contextmanager
    def lines(self, operation: str, below: str, **values: Any) -> Iterator[Iterator[str]]:
        """Stream the lines of an event stream at the path `below` an operation."""
        method, path, _, _ = self._plan(operation, values)
        with self.transport.open(method, path + below) as answer:
            yield answer.iter_lines()

    def _plan(self, operation: str, values: dict[str, Any]) -> tuple[str, str, dict[str, Any], Any]:
        from stt_lab.operations import __all__ as known  # imports every declaration
        from stt_lab.registry import OPERATIONS

        if operation not in known:
            raise BadInput(f"Unknown operation {operation[:80]!r}. Choose from {', '.join(known)}.")
        op = OPERATIONS[operation]
        path = op.path.format(**{name: quote(str(values[name]), safe="") for name in op.path_params})
        loose = {name: value for name, value in values.items() if value is not None and name not in op.path_params}
        return op.method, path, loose, op.result


@contextmanager
def _opened(source: FileSource) -> Iterator[tuple[str, BinaryIO]]:
    """Open a recording; a file of the caller stays open."""
    if not isinstance(source, str | Path):
        yield Path(str(getattr(source, "name", "recording"))).name, source
        return
    path = Path(source).expanduser()
    try:
        file = path.open("rb")
    except OSError as problem:
        raise MissingFile(f"The file {path} cannot be read ({problem.strerror}). Pass another path.") from None
    with file:
        yield path.name, file
