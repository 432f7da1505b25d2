"""Render summaries, conversations and translations as HTML with citations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from stt_lab.transcription.render import from_json
from stt_lab.translation.languages import language
from stt_lab.types import File
from stt_lab.ui.html import kept
from stt_lab.ui.text import html
from stt_lab.ui.text.prose import CitationNotes, paragraphs, verbatim
from stt_lab.ui.text.source import TextSource
from stt_lab.ui.text.wire import PLAIN, Wire, plain, saved, spans


def summary(made: Any, source: TextSource) -> str:
    """Render the result of `summarize`."""
    answer, cited = plain(made), html.Cited(source)
    notes = CitationNotes((said["text"], cited.marks(spans(said), said["sources"])) for said in answer["statements"])
    files = saved(answer, source.stem, "summary", answer["summary"])
    return (
        html.head("Summary", answer["model"], files)
        + html.warnings(answer["warnings"])
        + paragraphs(answer["summary"], notes)
    )


def talk(turns: Sequence[tuple[str, Wire]], source: TextSource) -> str:
    """Render a conversation, latest question first."""
    cited = html.Cited(source)
    written = "\n\n".join(f"**{question}**\n\n{answer['answer']}" for question, answer in turns)
    whole = {"questions": [{"question": question, **answer} for question, answer in turns]}
    files = saved(whole, source.stem, "questions", written)
    shown = "".join(_turn(question, answer, cited) for question, answer in reversed(turns))
    return f'{html.head("Questions", turns[-1][1]["model"], files)}<ol class="stt-talk">{shown}</ol>'


def _turn(question: str, answer: Wire, cited: html.Cited) -> str:
    """Render a question and its answer, with sources or the closest passages."""
    sources = cited.marks((), [each["segment_order"] for each in answer["sources"]])
    near = html.listed((cited.marks((), [each["segment_order"]]), each["text"]) for each in answer["nearest"])
    return (
        f'<li dir="auto"><p class="stt-asked">{escape(question)}</p>{html.warnings(answer["warnings"])}'
        f"{paragraphs(answer['answer'], CitationNotes(()))}"
        + (f'<p class="stt-rests">Sources:{sources}</p>' if sources else "")
        + (f'<p class="stt-rests">Closest passages, which may not answer it:</p>{near}' if answer["nearest"] else "")
        + "</li>"
    )


def translation(made: Any, source: TextSource) -> str:
    """Render the result of `translate`."""
    return _of_transcript(made, source) if isinstance(made, File) else _of_text(plain(made), source)


def _of_text(answer: Wire, source: TextSource) -> str:
    cited, text = html.Cited(source), answer["translated_text"]
    notes = CitationNotes((said["text"], cited.marks(spans(said))) for said in answer["statements"])
    files = saved(answer, source.stem, answer["target_language"], text, PLAIN)
    head = html.head(language(answer["target_language"]).name, answer["model"] or "", files)
    return head + html.warnings(answer["warnings"]) + verbatim(text, notes)


def _of_transcript(file: File, source: TextSource) -> str:
    """Render a translated transcript from its JSON: each segment with its citation, and downloads."""
    translated, cited = from_json(json.loads(b"".join(file.chunks))), html.Cited(source)
    rows = zip(translated.segments, source.content.segments, strict=True)
    head = html.head(
        language(translated.language or "").name, "", kept(translated, f"{source.stem} {translated.language}")
    )
    listed = html.listed((cited.marks([part]), segment.text) for segment, part in rows)
    return head + html.warnings(file.warnings) + listed
