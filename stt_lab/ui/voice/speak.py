"""Speak a text in a voice like that of a recording."""

from __future__ import annotations

from typing import Any, ClassVar

import gradio as gr

from stt_lab.door.shared_files import link
from stt_lab.operations.voice import LONGEST_TEXT
from stt_lab.ui.voice import html
from stt_lab.ui.voice.part import Component, VoiceCall, VoicePart
from stt_lab.ui.voice.pictures import picture_of, read_wav
from stt_lab.voice.speech import languages_here


class SpeakPart(VoicePart):
    """Speech in a voice."""

    title: ClassVar[str] = "Speak"
    operation: ClassVar[str] = "tts"
    verb: ClassVar[str] = "Speak"
    source: ClassVar[str] = "Voice: 3 to 10 s of one person"
    empty: ClassVar[str] = html.empty(
        "The speech appears here.", "Choose or record 3 to 10 s of one person speaking, write a text, then press Speak."
    )

    def draw_options(self) -> dict[str, Component]:
        here = languages_here(self.installation.runtime.pool)
        languages = [("Detect automatically", "auto"), *((name, code) for code, name in here.items())]
        return {
            "text": gr.Textbox(label="Text", lines=4, max_lines=12, max_length=LONGEST_TEXT, elem_id="voice-text"),
            "language": gr.Dropdown(languages, value="auto", label="Language", elem_id="voice-language"),
            "speed": gr.Slider(0.5, 2, 1, step=0.05, label="Speed", elem_id="voice-speed"),
            "consent": gr.Checkbox(False, label="The owner of the voice agrees to this use", elem_id="voice-consent"),
        }

    def make(self, call: VoiceCall, values: dict[str, Any]) -> str:
        made, address = call.run(self.operation, values | {"reference": self.files.path(call.address)})
        picture = picture_of(*read_wav(self.files.path(address)))
        sound = html.Sound("Speech", html.renamed(call.name, made.name), link(address), picture)
        return html.speech(sound, made.headers, made.warnings)
