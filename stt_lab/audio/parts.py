"""Find the complete files that lie one after the other in one file, and headers that declare less than there is.

Demuxers stop at the end that the first header declares. Recorders that resume write a second header behind it; ones
that lose power leave the length of an earlier moment.
"""

from __future__ import annotations

import itertools
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import BinaryIO

WAVE, AVI = b"WAVE", b"AVI "
UNKNOWN = b"\xff\xff\xff\xff"  # a size in a RIFF header that means "to the end"
UNKNOWN_SIZE = 0x7FFF_0000  # sizes in a RIFF header from here on mean "unknown"
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # first bytes of WMA and WMV
MOST_PARTS = 1000
OGG_HEAD = 27  # bytes of an Ogg page before its table of segments
OGG_BEGINS = 2  # flag of the first page of a stream


@dataclass(frozen=True)
class Part:
    """A complete file inside a file: bytes `start` to `end`. Reads see `patches` (bytes by offset) instead of its
    own."""

    start: int
    end: int
    patches: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def corrected(self) -> bool:
        """Whether its header declares less than there is."""
        return bool(self.patches)


def find_parts(file: BinaryIO) -> tuple[Part, ...]:
    """Return the parts of a file, at least one."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] in (WAVE, AVI):
        found = list(_riffs(file, size, head[8:]))
    elif head[:4] == b"OggS":
        found = _cut(_ogg_starts(file, size), size)
    elif head[4:8] == b"ftyp":
        found = _cut(_movie_starts(file, size), size)
    elif head == ASF[:12]:
        found = _cut(_asf_starts(file), size)
    elif head[:3] == b"ID3":
        found = [_untagged(file, head, size)]
    else:
        found = [Part(0, size)]
    return tuple(found[:MOST_PARTS])


def _cut(starts: Iterator[int], size: int) -> list[Part]:
    places = [0, *(start for start in starts if start), size]
    return [Part(start, end) for start, end in itertools.pairwise(places)]


# RIFF: WAV and AVI


def _riffs(file: BinaryIO, size: int, form: bytes) -> Iterator[Part]:
    """Yield the complete files; an AVI file goes on in further chunks of another form."""
    start = at = 0
    while True:
        end = _declared_end(file, at, size)
        forms = {place: _form(file, place) for place in (end, end + 1)}  # chunks may be padded to an even length
        at = next((place for place in forms if forms[place]), size)
        if at == size:
            yield _whole_wave(file, start, size) if form == WAVE else Part(start, size)
            return
        if forms[at] == form:
            yield Part(start, end)
            start = at


def _form(file: BinaryIO, at: int) -> bytes:
    """Return the form of a RIFF chunk, b"" if there is none."""
    head = _read(file, at, 12)
    return head[8:] if head[:4] == b"RIFF" else b""


def _declared_end(file: BinaryIO, start: int, size: int) -> int:
    declared = _number(_read(file, start + 4, 4))
    return size if not declared or declared >= UNKNOWN_SIZE else min(size, start + 8 + declared)


def _whole_wave(file: BinaryIO, start: int, size: int) -> Part:
    """Return the last WAV file. If sound goes on behind the declared end, its header is patched to say so."""
    at = start + 12
    while at + 8 <= size:
        name, length = _read(file, at, 4), _number(_read(file, at + 4, 4))
        if name == b"data":
            end = at + 8 + length
            goes_on = 0 < length < UNKNOWN_SIZE and end < size and not _is_chunk(file, end + length % 2, size)
            return Part(start, size, {start + 4: UNKNOWN, at + 4: UNKNOWN} if goes_on else {})
        at += 8 + length + length % 2
    return Part(start, size)


def _is_chunk(file: BinaryIO, at: int, size: int) -> bool:
    """Return whether a chunk begins here, such as LIST or id3 behind the sound; or nothing but padding."""
    head = _read(file, at, 8)
    if len(head) < 8:
        return True
    name = head[:4]
    return name.isascii() and name.decode("ascii").isprintable() and at + 8 + _number(head[4:]) <= size + 1


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


# Others


def _asf_starts(file: BinaryIO) -> Iterator[int]:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(ASF)
        while at >= 0:
            yield at
            at = content.find(ASF, at + 1)


def _ogg_starts(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield where a chain's links begin: at the first pages of streams that follow other pages."""
    at, beginning = 0, False
    while at + OGG_HEAD <= size:
        head = _read(file, at, OGG_HEAD)
        if head[:4] != b"OggS":  # damaged; the demuxer finds the next page
            return
        begins = bool(head[5] & OGG_BEGINS)
        if begins and not beginning:
            yield at
        beginning = begins
        at += OGG_HEAD + head[26] + sum(_read(file, at + OGG_HEAD, head[26]))


def _movie_starts(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield where MP4 files begin: at `ftyp` boxes that follow a complete file."""
    at, seen = 0, {b"moov", b"mdat"}
    while at + 8 <= size:
        head = _read(file, at, 16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if name == b"ftyp" and {b"moov", b"mdat"} <= seen:
            yield at
            seen = set()
        seen.add(name)
        if length < 8:  # to the end, or damaged
            return
        at += length


def _untagged(file: BinaryIO, head: bytes, size: int) -> Part:
    """Skip an ID3 tag in front of AAC: demuxers are not recognised behind a large picture."""
    digits = _read(file, 6, 4)
    end = 10 + sum((digit & 0x7F) << shift for digit, shift in zip(digits, (21, 14, 7, 0), strict=False))
    after = _read(file, end, 2)
    is_aac = len(after) == 2 and after[0] == 0xFF and after[1] & 0xF6 == 0xF0
    return Part(end if is_aac else 0, size)


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


class PartFile:
    """A part of a file as a file of its own, without a name, so that only the content decides the format."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file, self._part = file, part
        self._at = 0

    @property
    def size(self) -> int:
        return self._part.end - self._part.start

    def read(self, count: int = -1) -> bytes:
        begin = self._part.start + self._at
        left = max(0, self._part.end - begin)
        self._file.seek(begin)
        data = self._file.read(left if count < 0 else min(count, left))
        self._at += len(data)
        return self._patched(data, begin) if self._part.patches else data

    def _patched(self, data: bytes, begin: int) -> bytes:
        made = bytearray(data)
        for place, content in self._part.patches.items():
            for number, byte in enumerate(content, place - begin):
                if 0 <= number < len(made):
                    made[number] = byte
        return bytes(made)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at
