"""Write a multipart body to disk as it arrives. Files get random names and are always removed."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from stt_lab.door.file_names import file_name, has_file_name
from stt_lab.door.input_check import decode
from stt_lab.errors import BadInput, MissingFile, Unavailable

FIELD_LIMIT = 64 * 1024  # bytes of a text field
FIELDS_LIMIT = 100
INDEXED = re.compile(r"([^\[\]]+)\[([0-9]{0,3})\]")  # name[] and name[0]: items of a list
NODE = " (Node.js: the built-in fetch needs the built-in FormData; any other is sent as [object FormData])"


class Form(dict[str, object]):
    """Fields by name. `filename` is the client's name of the file, for display only."""

    filename = ""


@asynccontextmanager
async def receive(
    body: AsyncIterable[bytes], content_type: str, folder: Path, files: tuple[str, ...], lists: tuple[str, ...] = ()
) -> AsyncIterator[Form]:
    """Receive the form of a request: text by field name, and a Path for each field of `files`.

    Each field of `lists` becomes a list of text: clients repeat its name, write `name[]` or `name[0]`, `name[1]`, or
    separate its items by commas. The files are deleted after the block.

    Raises BadInput for a malformed body and Unavailable if the disk is full.
    """
    form = _Form(folder, files, lists)
    try:
        await _parse(body, content_type, form)
        yield form.values
    finally:
        form.discard()


async def _parse(body: AsyncIterable[bytes], content_type: str, form: _Form) -> None:
    boundary = _boundary(content_type)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in body:
            parser.write(chunk)
    except FormParserError:
        raise BadInput(f"The upload is not valid multipart/form-data. Let your HTTP library build it{NODE}.") from None
    except OSError:
        raise Unavailable(
            "The server's disk is full. Try again later, or ask the administrator to free space."
        ) from None
    if not form.complete:
        raise BadInput(f"The upload ended before its last part. Send it again{NODE}.")


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary: bytes | None = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        found = kind.decode("latin-1")[:60] or "none"
        raise MissingFile(
            f"The content type {found} is not accepted. Send multipart/form-data with the recording in 'file'{NODE}."
        )
    return boundary


class _Form:
    """Callbacks of the multipart parser, and the state between them."""

    def __init__(self, folder: Path, files: tuple[str, ...], lists: tuple[str, ...] = ()) -> None:
        self.values = Form()
        self.complete = False
        self._folder, self._files = folder, files
        self._items: dict[str, list[tuple[int, str]]] = {name: [] for name in lists}
        self._paths: list[Path] = []
        self._parts = 0
        self._header = (b"", b"")
        self._disposition = b""
        self._name = ""
        self._sink: BinaryIO | None = None
        self._text = bytearray()

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > FIELDS_LIMIT:
            raise BadInput(f"The form has more than {FIELDS_LIMIT} fields. Send only documented ones; see /docs.")
        self._disposition, self._text = b"", bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _header_end(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            self._disposition = self._header[1]
        self._header = (b"", b"")

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = decode(options.get(b"name", b""), "The name of a field")
        if self._name in self.values:
            raise BadInput(f"The field '{self._name[:80]}' was sent twice. Send it once.")
        if self._name in self._files:
            if not has_file_name(self._disposition):
                raise MissingFile(f"The field '{self._name}' is text. Send the recording as a file.")
            self.values.filename = file_name(self._disposition, options.get(b"filename", b""))
            path = self._folder / secrets.token_hex(16)
            self._paths.append(path)
            self._sink = path.open("xb")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._sink is not None:
            self._sink.write(data[start:end])
        elif len(self._text) + end - start > FIELD_LIMIT:
            raise BadInput(
                f"The field '{self._name[:80]}' is longer than {FIELD_LIMIT // 1024} kB. Send files in field 'file'."
            )
        else:
            self._text += data[start:end]

    def _part_end(self) -> None:
        if self._sink is None:
            self._keep(decode(bytes(self._text), f"The field '{self._name[:80]}'"))
            return
        self._sink.close()
        self._sink = None
        self.values[self._name] = self._paths[-1]

    def _keep(self, text: str) -> None:
        found = INDEXED.fullmatch(self._name)
        name = found[1] if found else self._name
        if name not in self._items:
            self.values[self._name] = text
            return
        place = int(found[2]) if found and found[2] else 0
        self._items[name] += [(place, item.strip()) for item in text.split(",")]

    def _end(self) -> None:
        for name, items in self._items.items():
            if items:
                ordered = sorted(items, key=lambda item: item[0])  # stable: others keep the order of the form
                self.values[name] = [text for _, text in ordered if text]
        self.complete = True

    def discard(self) -> None:
        if self._sink is not None:
            self._sink.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
