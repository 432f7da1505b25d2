"""Write transcripts as Markdown (CommonMark): a title, then a paragraph per turn. Speech is never markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stt_lab.text import clean, clock
from stt_lab.transcription.render import grouped, named
from stt_lab.types import Transcript

NAME = 120  # characters of a speaker's name
INLINE = re.compile(r"[\\`*_\[\]<>&~|!$^]")  # what may begin markup within a line, also of common extensions
LINE = re.compile(r"[#+=:-]|\d{1,9}(?=[.)])")  # what may begin a heading, a list or a table at the start of a line


def write(transcript: Transcript, title: str, times: bool) -> Iterator[str]:
    """Yield a heading, then paragraphs with the name where the speaker changes."""
    yield f"# {_inert(title) or 'Transcript'}\n"
    for name, group in named(grouped(transcript.segments, by_sentence=False), NAME):
        said = _inert(" ".join(segment.text for segment in group))
        before = f"**{_inert(name)}:** " if name else ""
        before = f"\\[{clock(group[0].start)}\\] {before}" if times else before
        yield f"\n{before}{said if before else _at_start(said)}\n"


def _inert(text: str) -> str:
    """Return a text on one line in which nothing is markup."""
    return INLINE.sub(r"\\\g<0>", clean(text))


def _at_start(text: str) -> str:
    """Return a text as a line may begin with it."""
    found = LINE.match(text)
    if found is None:
        return text
    mark = found.group()
    return f"{mark}\\{text[len(mark) :]}" if mark.isdigit() else f"\\{text}"
