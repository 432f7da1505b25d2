"""Export transcripts as files: txt, md, srt, vtt, json, csv and tsv as streams, docx and pdf as documents.

Speech is data in every format, never markup. docx and pdf are made in memory: two hours of speech take less than 1 MB,
and no temporary file remains if the reader disconnects.
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

__all__ = ["HEAVY", "Export", "ExportFormat", "export"]

ExportFormat = Literal["txt", "srt", "vtt", "json", "csv", "docx", "pdf", "tsv", "md"]
HEAVY = ("docx", "pdf")  # formats that are made as a whole, by much memory or a process
CHUNK = 64 * 1024  # bytes of a streamed chunk, about
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@dataclass(frozen=True)
class Export:
    """A file to be sent, with `warnings` for its reader."""

    media_type: str
    suffix: str  # with its dot
    chunks: Iterator[bytes]
    warnings: tuple[str, ...] = ()


def export(transcript: Transcript, format: str, title: str, created: datetime, times: bool = False) -> Export:
    """Export a transcript; `format` is an ExportFormat, `created` has a time zone. `times` writes them into txt and md;
    all other formats have them. Raises BadInput for another format.

    All errors are raised here; the chunks only have to be sent.
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
        raise BadInput(f'The format "{format[:30]}" does not exist. Use one of {known}.')
    if format == "md":
        from stt_lab.documents import markdown

        return Export("text/markdown", ".md", _encoded(markdown.write(transcript, title, times)))
    media_type, texts = parts(transcript, format, times)
    return Export(media_type, f".{format}", _encoded(texts))


def _slices(content: bytes) -> Iterator[bytes]:
    return (content[first : first + CHUNK] for first in range(0, len(content), CHUNK))


def _encoded(texts: Iterable[str]) -> Iterator[bytes]:
    """Encode texts as UTF-8 in chunks of about CHUNK bytes. A lone surrogate, which only JSON allows, becomes its
    escape."""
    buffer = bytearray()
    for text in texts:
        buffer += text.encode(errors="backslashreplace")
        if len(buffer) >= CHUNK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
