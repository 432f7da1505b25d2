"""WAV files that say that they are synthetic: a LIST INFO chunk and a Broadcast Wave (bext) chunk before the sound.

Sources: EBU Tech 3285 (bext), Microsoft's RIFF specification (INFO).
"""

from __future__ import annotations

import struct

MARK = "Synthetic speech, not a recording of a person"
DESCRIPTION, ORIGINATOR, REFERENCE, DATE, TIME = 256, 32, 32, 10, 8  # bytes of bext's fields
LOUDNESS_AND_RESERVED = 64 + 10 + 180  # bytes: UMID, loudness values, reserved
UNKNOWN = 0xFFFF_FFFF  # size of a file that is still being made


def header(rate: int, samples: int | None, engine: str, date: str) -> bytes:
    """Return all bytes before the sound of a 16-bit mono file; `samples` is None where the length is not known yet.

    `date` is an ISO date, such as 2026-01-31.
    """
    size = None if samples is None else 2 * samples
    form = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16))
    before = form + _chunk(b"bext", _bext(engine, date, rate)) + _chunk(b"LIST", _info(engine, date))
    whole = UNKNOWN if size is None else 4 + len(before) + 8 + size
    data = UNKNOWN if size is None else size
    return b"RIFF" + struct.pack("<I", whole) + b"WAVE" + before + b"data" + struct.pack("<I", data)


def _info(engine: str, date: str) -> bytes:
    texts = {b"ICMT": MARK, b"ICRD": date, b"IGNR": "Synthetic speech", b"ISFT": f"stt_lab, {engine}"}
    return b"INFO" + b"".join(_chunk(name, text.encode("ascii", "replace") + b"\0") for name, text in texts.items())


def _bext(engine: str, date: str, rate: int) -> bytes:
    texts = ((f"{MARK}. Made by {engine}.", DESCRIPTION), ("stt_lab", ORIGINATOR), ("", REFERENCE), (date, DATE))
    fields = b"".join(text.encode("ascii", "replace")[:size].ljust(size, b"\0") for text, size in texts)
    history = f"A=PCM,F={rate},W=16,M=mono,T=synthetic speech; {engine}\r\n".encode("ascii", "replace")
    return fields + b"00:00:00" + struct.pack("<QH", 0, 1) + bytes(LOUDNESS_AND_RESERVED) + history


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
