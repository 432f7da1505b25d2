"""Clean a recording, and compare it with the original."""

from __future__ import annotations

from typing import Any, ClassVar

import gradio as gr

from stt_lab.door.shared_files import link
from stt_lab.ui.voice import html
from stt_lab.ui.voice.part import Component, VoiceCall, VoicePart
from stt_lab.ui.voice.pictures import picture_of, read_decoded, read_wav


class EnhancePart(VoicePart):
    """Noise and loudness of a recording."""

    title: ClassVar[str] = "Enhance"
    operation: ClassVar[str] = "enhance_audio"
    verb: ClassVar[str] = "Enhance"
    source: ClassVar[str] = "Audio or video to clean"
    empty: ClassVar[str] = html.empty(
        "The cleaner recording appears here, beside the original.", "Choose a file or record, then press Enhance."
    )

    def draw_options(self) -> dict[str, Component]:
        return {
            "attenuation_limit_db": gr.Slider(
                0, 100, 100, step=1, label="Noise reduction, at most (dB)", elem_id="voice-limit"
            ),
            "normalize": gr.Checkbox(True, label="Set the loudness", elem_id="voice-normalize"),
            "loudness": gr.Slider(-40, -5, -16, step=0.5, label="Loudness (LUFS)", elem_id="voice-loudness"),
        }

    def make(self, call: VoiceCall, values: dict[str, Any]) -> str:
        source = self.files.path(call.address)
        made, address = call.run(self.operation, values | {"file": source})
        levels = html.Levels.of(made.headers)
        after = picture_of(*read_wav(self.files.path(address)))
        decoder = self.installation.runtime.decoder
        with decoder.decode(source, call.report) as audio:
            before = picture_of(*read_decoded(audio), levels.difference)
        gains = levels.gains(before.peak, after.peak)
        name = html.renamed(call.name, made.name)
        sounds = (
            html.Sound("Original", call.name, link(call.address), before, levels.before, gains[0]),
            html.Sound("Enhanced", name, link(address), after, levels.after, gains[1]),
        )
        return html.comparison(sounds, levels, made.warnings)
