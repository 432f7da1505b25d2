"""Translate OpenAI's speech API: its requests become requests to `speak`, whose file is the answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from stt_lab.engines.pool import AUTO
from stt_lab.operations.voice import LONGEST_TEXT
from stt_lab.registry import Operation
from stt_lab.types import File
from stt_lab.voice.encoding import MEDIA_TYPES, SpeechFormat

OPENAI_MODELS = re.compile(r"tts-1(-hd)?(-\d+)?|gpt-4o-mini-tts[\w.-]*")  # OpenAI's, which select the default one


@dataclass(frozen=True)
class SpeechRequest:
    """A request of OpenAI's API: parameters of `speak`."""

    values: dict[str, Any]
    ignored: tuple[str, ...] = ()  # accepted parameters without effect

    def present(self, file: File, parameters: Mapping[str, Any]) -> File:
        """Return the file, with a warning of what was ignored."""
        if not self.ignored:
            return file
        warning = f"These parameters have no effect and were ignored: {', '.join(self.ignored)}."
        return replace(file, warnings=(*file.warnings, warning))


def speech(
    input: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, description="Text to speak")],
    voice: Annotated[str, Field(max_length=80, description="Stock voice, as /v1/audio/voices lists them, or OpenAI's")],
    model: Annotated[str, Field(max_length=80, description="Model id; OpenAI's names select the default")] = "tts-1",
    response_format: Annotated[SpeechFormat, Field(description="Format of the file")] = "mp3",
    speed: Annotated[float, Field(ge=0.5, le=2, description="Speed of the speech; 1 is the usual one")] = 1.0,
    instructions: Annotated[str, Field(description="No effect")] = "",
    stream_format: Annotated[
        Literal["audio"], Field(description="The file itself is streamed; there are no events")
    ] = "audio",
) -> SpeechRequest:
    """Speak a text in a stock voice, compatible with OpenAI's API. The file is sent while it is made."""
    values: dict[str, Any] = {"text": input, "voice": voice, "response_format": response_format, "speed": speed}
    return SpeechRequest(values | {"model": AUTO if OPENAI_MODELS.fullmatch(model) else model})


ROUTE = Operation(fn=speech, method="POST", path="/v1/audio/speech", scope="speech", streamed=True)
ANSWERS: dict[str, Any] = {  # for OpenAPI
    kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()
}
