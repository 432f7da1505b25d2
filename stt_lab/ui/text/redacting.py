"""Remove personal data from texts, transcripts and recordings."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from stt_lab.door.shared_files import link
from stt_lab.engines.protocols import PII
from stt_lab.errors import BadInput
from stt_lab.types import File
from stt_lab.ui.html import Saved
from stt_lab.ui.text import html
from stt_lab.ui.text.analysis import analysis, kind
from stt_lab.ui.text.source import TextSource
from stt_lab.ui.text.tasks import Component, TextTask, choice
from stt_lab.ui.text.visit import PageRequest

FORMATS = [
    ("Text", "txt"),
    ("Recording (WAV)", "wav"),
    ("Subtitles (SRT)", "srt"),
    ("Subtitles (WebVTT)", "vtt"),
    ("Word document", "docx"),
    ("PDF", "pdf"),
]
READABLE = ("txt", "srt", "vtt")
MODES = [("Kind: [PERSON]", "mark"), ("Mask: ████", "mask"), ("Hash: the same for equal values", "hash")]


class RedactionTask(TextTask):
    name, title, verb = "redaction", "Redaction", "Redact"
    of_text, of_transcript = "analyze", "redact_transcript"

    def draw(self) -> dict[str, Component]:
        kinds = [(kind(label), label) for label in PII]
        return {
            "format": choice(FORMATS, "Output", "text-format"),
            "mode": choice(MODES, "Replacement in text", "text-mode"),
            "sound": choice([("Silence", "silence"), ("Tone", "tone")], "Replacement in audio", "text-sound"),
            "types": gr.Dropdown(
                kinds, value=[], multiselect=True, label="Kinds to remove (none = all)", elem_id="text-kinds"
            ),
        }

    def run(self, page: PageRequest, source: TextSource, values: dict[str, Any]) -> str:
        if source.detail is None and (values["format"] != "txt" or values["types"]):
            raise BadInput("For pasted text, all kinds are removed and the output is text. Choose Text and no kinds.")
        made = page.call(*self.asked(source, values | {"type": "pii_redact"}))
        if not isinstance(made, File):
            return analysis(made, source)
        if values["format"] in READABLE:
            return _read(made)
        return _shared(page, made, source.detail.id if source.detail else None)


def _read(file: File) -> str:
    text = b"".join(file.chunks).decode()
    shown = f'<div class="stt-document stt-kept" dir="auto">{escape(text)}</div>'
    return _shown(file, shown, [Saved(file.name, file.media_type, text)])


def _shared(page: PageRequest, file: File, transcript: int | None) -> str:
    """Share a file under an unguessable address until the page session ends; a recording gets a player."""
    address, name = escape(link(page.share(file, transcript))), escape(file.name)
    heard = (
        f'<div class="stt-heard"><audio controls preload="metadata" src="{address}" aria-label="Redacted">'
        '</audio><p class="stt-silent" hidden>This browser cannot play the recording.</p></div>'
    )
    download = f'<p><a class="stt-button" href="{address}" download="{name}">Download {name}</a></p>'
    return _shown(file, (heard if file.media_type.startswith("audio/") else "") + download, [])


def _shown(file: File, shown: str, files: list[Saved]) -> str:
    return html.head("Without personal data", "", files) + html.warnings(file.warnings) + shown
