"""Transcript -> a file that people keep and hand on: txt, srt, vtt, json, csv as streams; docx and pdf as documents.

Words of a recording are data in all of them, never markup. docx and pdf are made in memory: two hours of speech are
less than 1 MB, and no temporary file can be left behind by a reader that goes away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from stt_lab.documents.content import lay_out
from stt_lab.errors import BadInput
from stt_lab.transcription.render import parts
from stt_lab.types import Transcript

__all__ = ["Export", "ExportFormat", "export"]

ExportFormat = Literal["txt", "srt", "vtt", "json", "csv", "docx", "pdf"]
CHUNK = 64 * 1024  # bytes, about, of a stream
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@dataclass(frozen=True)
class Export:
    """A file on its way. `warnings`: what whoever gets it should know, a sentence each."""

    media_type: str
    suffix: str  # with its dot
    chunks: Iterator[bytes]
    warnings: tuple[str, ...] = ()


def export(transcript: Transcript, format: str, title: str, created: datetime) -> Export:
    """The transcript as a file of an ExportFormat; `created` is aware. Raises BadInput for another format.

    What can go wrong goes wrong here; the chunks only have to be sent.
    """
    if format == "docx":
        from stt_lab.documents import word

        return Export(WORD, ".docx", _slices(word.write(lay_out(transcript, title, created))))
    if format == "pdf":
        from stt_lab.documents import pdf

        made = pdf.write(lay_out(transcript, title, created))
        return Export("application/pdf", ".pdf", _slices(made.content), made.warnings)
    if format not in get_args(ExportFormat):
        known = ", ".join(get_args(ExportFormat))
        raise BadInput(f'The format "{format[:30]}" is not known: use one of {known}.')
    media_type, texts = parts(transcript, format)
    return Export(media_type, f".{format}", _encoded(texts))


def _slices(content: bytes) -> Iterator[bytes]:
    return (content[first : first + CHUNK] for first in range(0, len(content), CHUNK))


def _encoded(texts: Iterable[str]) -> Iterator[bytes]:
    """UTF-8 in chunks of about CHUNK. A lone surrogate, which only JSON lets through, becomes its escape there."""
    buffer = bytearray()
    for text in texts:
        buffer += text.encode(errors="backslashreplace")
        if len(buffer) >= CHUNK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
