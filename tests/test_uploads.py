"""stt_lab.web.uploads: multipart bodies to disk, removed whatever happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from fakes import files
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_lab.errors import BadInput, MissingFile, SttError, Unavailable
from stt_lab.web import uploads
from stt_lab.web.uploads import receive

KIND = "multipart/form-data; boundary=XyZ"
Part = tuple[str, bytes]  # the parameters of Content-Disposition, and the content


def body(*parts: Part, end: bytes = b"--XyZ--\r\n") -> bytes:
    return b"".join(
        b"--XyZ\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    ) + end  # fmt: skip


FILE = ('name="file"; filename="talk.wav"', b"RIFF\r\n--Xy\x00\xff")
LANGUAGE = ('name="language"', "português".encode())


async def stream(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def parse(chunks: Iterable[bytes], folder: Path, kind: str = KIND) -> dict[str, object]:
    """The form, with the content of files in the place of their paths."""

    async def run() -> dict[str, object]:
        async with receive(stream(chunks), kind, folder, ("file",)) as form:
            paths = [value for value in form.values() if isinstance(value, Path)]
            assert sorted(files(folder)) == sorted(paths)
            assert all(re.fullmatch("[0-9a-f]{32}", path.name) for path in paths)
            return {name: value.read_bytes() if isinstance(value, Path) else value for name, value in form.items()}

    return asyncio.run(run())


def test_a_form(tmp_path: Path) -> None:
    assert parse([body(FILE, LANGUAGE)], tmp_path) == {"file": FILE[1], "language": "português"}
    assert files(tmp_path) == []


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_chunks_of_any_size(cuts: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = body(LANGUAGE, FILE)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    chunks = [whole[a:b] for a, b in pairwise(edges)]
    assert parse(chunks, tmp_path_factory.mktemp("form")) == {"file": FILE[1], "language": "português"}


@pytest.mark.parametrize(
    "head",
    [
        'name="file"; filename="../../../etc/passwd"',
        'name="file"; filename=""',
        "name=\"file\"; filename*=UTF-8''%C3%A9.wav",
        'name="file"; filename="concat:a|b"',
        'NAME="file"; FILENAME="A.WAV"',
    ],
)
def test_names_of_files_do_not_matter(head: str, tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    assert parse([body((head, b"sound"))], folder) == {"file": b"sound"}
    assert files(tmp_path) == []


def failure(chunks: Iterable[bytes], folder: Path, kind: str = KIND) -> SttError:
    with pytest.raises(SttError) as caught:
        parse(chunks, folder, kind)
    assert files(folder) == []
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("text/plain;charset=UTF-8", b"[object FormData]"),
        ("multipart/form-data; boundary=----WebKitFormBoundary", b"[object FormData]"),
        (KIND, b"[object FormData]"),
        (KIND, b""),
    ],
)
def test_the_text_that_node_sends_for_a_foreign_form(kind: str, sent: bytes, tmp_path: Path) -> None:
    problem = failure([sent], tmp_path, kind)
    assert isinstance(problem, BadInput)
    assert "[object FormData]" in str(problem)
    assert "built-in FormData" in str(problem)


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=", ";;;"]
)
def test_other_content_types(kind: str, tmp_path: Path) -> None:
    assert "multipart/form-data" in str(failure([body(FILE)], tmp_path, kind))


@pytest.mark.parametrize(
    ("sent", "kind", "words"),
    [
        (body(FILE)[:-30], BadInput, "ended before"),
        (body(FILE, end=b""), BadInput, "ended before"),
        (b"--Other" + body(FILE), BadInput, "not valid multipart"),
        (b"--XyZ\r\nContent Disposition\r\n\r\n", BadInput, "not valid multipart"),
        (body(('name="file"', b"concat:/etc/passwd")), MissingFile, "is text"),
        (body(LANGUAGE, LANGUAGE), BadInput, "twice"),
        (body(FILE, FILE), BadInput, "twice"),
        (body(FILE, ('name="language"', b"x" * (uploads.FIELD_LIMIT + 1))), BadInput, "longer than"),
        (body(*((f'name="{i}"', b"") for i in range(uploads.FIELDS_LIMIT + 1))), BadInput, "more than"),
        (b"--XyZ\r\nContent-Disposition: " + b"x" * 1_000_000, BadInput, "not valid multipart"),
        (b"--XyZ\r\n" + b"A: b\r\n" * 100_000, BadInput, "not valid multipart"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_forms(sent: bytes, kind: type[SttError], words: str, tmp_path: Path) -> None:
    problem = failure([sent], tmp_path)
    assert type(problem) is kind
    assert words in str(problem)


def test_a_boundary_of_a_megabyte(tmp_path: Path) -> None:
    assert isinstance(failure([b"--"], tmp_path, "multipart/form-data; boundary=" + "x" * 1_000_000), BadInput)


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    class Gone(Exception):
        pass

    async def breaking() -> AsyncIterator[bytes]:
        yield body(FILE)[:-20]
        assert len(files(tmp_path)) == 1
        raise Gone

    async def run() -> None:
        async with receive(breaking(), KIND, tmp_path, ("file",)):
            pytest.fail("a form was made of half a body")

    with pytest.raises(Gone):
        asyncio.run(run())
    assert files(tmp_path) == []


def test_an_error_of_the_work_leaves_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with receive(stream([body(FILE)]), KIND, tmp_path, ("file",)):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())
    assert files(tmp_path) == []


def test_a_full_disk(tmp_path: Path) -> None:
    full = tmp_path / "gone"  # a folder that cannot be written to, also for root
    problem = failure([body(FILE)], full)
    assert isinstance(problem, Unavailable)
    assert str(tmp_path) not in str(problem)


def test_a_large_upload_does_not_lie_in_memory(tmp_path: Path) -> None:
    head, tail = body(FILE).split(FILE[1])
    chunk, count = b"\x01" * 65_536, 3200  # 200 MB
    process, sizes = psutil.Process(), list[int]()

    async def chunks() -> AsyncIterator[bytes]:
        yield head
        for number in range(count):
            if number % 200 == 0:
                sizes.append(process.memory_info().rss)
            yield chunk
        yield tail

    async def run() -> None:
        async with receive(chunks(), KIND, tmp_path, ("file",)) as form:
            assert isinstance(form["file"], Path)
            assert form["file"].stat().st_size == len(chunk) * count

    asyncio.run(run())
    assert max(sizes) - sizes[0] < 16 * 1024 * 1024
    assert files(tmp_path) == []
