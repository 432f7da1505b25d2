"""Translate OpenAI's audio API: its requests become requests to `transcribe`, transcripts become its answers.

Embeddings are in openai_embeddings.py, speech in openai_speech.py.

Pure: `stt_lab.web.routes` serves the ROUTES, and the work passes the same gate as every other request. Parameters of
OpenAI that no engine here supports are reported in `warnings`; unknown values are null.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput, SttError
from stt_lab.presentation import Body
from stt_lab.registry import OPERATIONS, Media, Operation
from stt_lab.text import LANGUAGES
from stt_lab.transcription.render import render
from stt_lab.types import Segment, Transcript
from stt_lab.web import openai_embeddings, openai_speech
from stt_lab.web.openai_embeddings import EmbeddingsRequest
from stt_lab.web.openai_speech import SpeechRequest

OPENAI_MODELS = re.compile(
    r"whisper-1|gpt-(?>[\w.-]*?transcribe)[\w.-]*"
)  # OpenAI's models, which select the default one
CLIENT = "openai/"  # in the User-Agent of OpenAI's packages for Python and JavaScript, and of other clients of its API
FRAMES = 100  # frames per second, the unit of `seek`
LEAST = 1e-9  # probability below which no logarithm is given
NO_EFFECT = "No effect"  # descriptions of accepted but ignored parameters begin so

Model = Annotated[
    str, Field(description="Speech model id, as /v1/models lists them; OpenAI's names select the default")
]
Prompt = Annotated[str, Field(description=f"{NO_EFFECT}")]
Temperature = Annotated[
    float, Field(ge=0, le=1, description=f"{NO_EFFECT}: decoding starts at 0 and raises it only where that fails")
]
Ignored = Annotated[tuple[str, ...], Field(description=NO_EFFECT)]
TextFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Format = Literal[TextFormat, "diarized_json"]
About = Field(description="Format of the answer")


@dataclass(frozen=True)
class OpenAiRequest:
    """A request of OpenAI's API: parameters of `transcribe`, and the format of its answer."""

    values: dict[str, Any]
    format: str
    stream: bool = False
    granularities: tuple[str, ...] = ("segment",)
    logprobs: bool = False
    ignored: tuple[str, ...] = ()

    def present(self, transcript: Transcript, parameters: Mapping[str, Any]) -> Body:
        """Return the answer in OpenAI's format."""
        if self.format in ("text", "srt", "vtt"):
            rendering = render(transcript, self.format)
            return Body(rendering.text, rendering.media_type)
        warnings = [*transcript.warnings, *self._warnings()]
        extra: dict[str, Any] = {"warnings": warnings} if warnings else {}
        extra |= {"logprobs": list(_logprobs(transcript))} if self.logprobs else {}
        if self.stream:
            events = _events(transcript, self.format == "diarized_json", extra)
            return Body("".join(f"data: {_dump(event)}\n\n" for event in events), "text/event-stream")
        return Body(self._json(transcript) | extra)

    def _warnings(self) -> Iterator[str]:
        if self.ignored:
            yield f"These parameters have no effect and were ignored: {', '.join(self.ignored)}."

    def _json(self, transcript: Transcript) -> dict[str, Any]:
        usage = {"usage": {"type": "duration", "seconds": math.ceil(transcript.duration)}}
        if self.format == "json":
            return {"text": transcript.text} | usage
        made = {"task": self.values["task"], "duration": round(transcript.duration, 3), "text": transcript.text}
        if self.format == "diarized_json":
            return made | {"segments": list(_spoken(transcript))} | usage
        made["language"] = "english" if made["task"] == "translate" else _language(transcript)
        if "segment" in self.granularities:
            made["segments"] = [_segment(number, segment) for number, segment in enumerate(transcript.segments)]
        if "word" in self.granularities:
            made["words"] = list(_words(transcript))
        return made | usage


AnyRequest = OpenAiRequest | EmbeddingsRequest | SpeechRequest


def transcriptions(
    file: Media,
    model: Model = "whisper-1",
    language: Annotated[str, Field(description="Code or name of the language; detected if empty")] = "",
    response_format: Annotated[Format, About] = "json",
    timestamp_granularities: Annotated[
        tuple[Literal["word", "segment"], ...], Field(description="What gets times in verbose_json")
    ] = ("segment",),
    stream: Annotated[bool, Field(description="Answer with server-sent events (json and diarized_json)")] = False,
    temperature: Temperature = 0.0,
    prompt: Prompt = "",
    chunking_strategy: Prompt = "auto",
    include: Annotated[
        tuple[Literal["logprobs"], ...], Field(description="`logprobs`: the log probability of each word (json only)")
    ] = (),
    keywords: Ignored = (),
    languages: Ignored = (),
    known_speaker_names: Ignored = (),
    known_speaker_references: Ignored = (),
) -> OpenAiRequest:
    """Transcribe a recording, compatible with OpenAI's API."""
    if stream and response_format not in ("json", "diarized_json"):
        raise BadInput(
            f"The format {response_format} cannot be streamed. Choose json or diarized_json, or send stream=false."
        )
    if "word" in timestamp_granularities and response_format != "verbose_json":
        raise BadInput(f"The format {response_format} has no word times. Choose response_format=verbose_json.")
    if include and response_format != "json":
        raise BadInput(
            f"The format {response_format} has no logprobs. Choose response_format=json, or leave include out."
        )
    diarize = response_format == "diarized_json"
    values = {"file": file, "model": _model(model), "language": language, "diarize": diarize, "task": "transcribe"}
    return OpenAiRequest(values, response_format, stream, timestamp_granularities, "logprobs" in include)


def translations(
    file: Media,
    model: Model = "whisper-1",
    response_format: Annotated[TextFormat, About] = "json",
    temperature: Temperature = 0.0,
    prompt: Prompt = "",
) -> OpenAiRequest:
    """Translate speech of any language into English text, compatible with OpenAI's API."""
    return OpenAiRequest({"file": file, "model": _model(model), "diarize": False, "task": "translate"}, response_format)


# These exist only on HTTP: the operation that each names does the work
ROUTES = (
    Operation(fn=transcriptions, method="POST", path="/v1/audio/transcriptions", scope="speech", anonymous=True),
    Operation(fn=translations, method="POST", path="/v1/audio/translations", scope="speech", anonymous=True),
    openai_embeddings.ROUTE,
    openai_speech.ROUTE,
)
OTHERS = {  # the operation of a route that does not transcribe, and its answers for OpenAPI
    openai_embeddings.ROUTE.path: ("embed", openai_embeddings.ANSWERS),
    openai_speech.ROUTE.path: ("speak", openai_speech.ANSWERS),
}
SPOKEN: dict[str, Any] = {  # answers about a recording, for OpenAPI
    "application/json": {"schema": {"type": "object", "required": ["text"]}},
    **{kind: {"schema": {"type": "string"}} for kind in ("text/plain", "application/x-subrip", "text/vtt")},
    "text/event-stream": {"schema": {"type": "string"}},
}


def worker(route: Operation) -> Operation:
    """Return the operation that does the work of a route."""
    return OPERATIONS[OTHERS[route.path][0] if route.path in OTHERS else "transcribe"]


def answers(route: Operation) -> dict[str, Any]:
    """Return the answers of a route, for OpenAPI."""
    return OTHERS[route.path][1] if route.path in OTHERS else SPOKEN


def read(route: Operation, sent: Mapping[str, object]) -> AnyRequest:
    """Parse a form or a JSON body. Raises BadInput and MissingFile."""
    values = route.parse(_plain(sent) if route.file_params else sent).values
    ignored = [
        name
        for name, info in route.fields.items()
        if (info.description or "").startswith(NO_EFFECT) and values[name] != info.default
    ]
    made: AnyRequest = route.fn(**values)
    return replace(made, ignored=tuple(ignored))


def _plain(form: Mapping[str, object]) -> dict[str, object]:
    """Return the form with plain names: OpenAI's packages write members of objects as `name[member]`."""
    return {name.partition("[")[0]: value for name, value in form.items()}


def _model(name: str) -> str:
    return AUTO if OPENAI_MODELS.fullmatch(name) else name


def is_openai_client(user_agent: str) -> bool:
    """Return whether a client reads errors only in OpenAI's format."""
    return CLIENT in user_agent.lower()


def error_body(problem: SttError) -> dict[str, Any]:
    """Return an error in the format that OpenAI's packages read."""
    kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    return {"error": {"message": str(problem), "type": kind, "param": None, "code": problem.code}}


# Answers


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _language(transcript: Transcript) -> str | None:
    """Return the English name of the language; None without speech."""
    return LANGUAGES.get(transcript.language or "", transcript.language)


def _times(segment: Segment) -> dict[str, float]:
    return {"start": round(segment.start, 3), "end": round(segment.end, 3)}


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """Return a segment for verbose_json.

    `temperature` and `no_speech_prob` are null: they belong to the recogniser's segments, and those of a transcript are
    cut where the speaker changes.
    """
    text = segment.text.encode("utf-8")
    likely = [math.log(word.confidence) for word in segment.words if word.confidence]
    return {
        "id": number,
        "seek": round(segment.start * FRAMES),
        **_times(segment),
        "text": f" {segment.text}",  # with a leading space, as OpenAI's segments have
        "tokens": [],
        "temperature": None,
        "avg_logprob": round(sum(likely) / len(likely), 4) if likely else None,  # over words; OpenAI's is over tokens
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 4),
        "no_speech_prob": None,
    }


def _words(transcript: Transcript) -> Iterator[dict[str, Any]]:
    for segment in transcript.segments:
        for word in segment.words:
            if word.plain:
                yield {"word": word.plain, "start": round(word.start, 3), "end": round(word.end, 3)}


def _logprobs(transcript: Transcript) -> Iterator[dict[str, Any]]:
    """Yield the log probability of each word as it is written; OpenAI's are of tokens. Joined they are the text.

    None for a word without confidence.
    """
    for number, segment in enumerate(transcript.segments):
        for place, word in enumerate(segment.words):
            token = word.text if place else " " * bool(number) + word.text.lstrip()
            sure = None if word.confidence is None else math.log(max(word.confidence, LEAST))
            yield {
                "token": token,
                "logprob": None if sure is None else round(sure, 6),
                "bytes": list(token.encode("utf-8")),
            }


def _spoken(transcript: Transcript) -> Iterator[dict[str, Any]]:
    """Yield segments with their speakers; "" where the speaker is unknown."""
    for number, segment in enumerate(transcript.segments):
        kind = {"type": "transcript.text.segment", "id": f"seg_{number:03}"}
        yield kind | _times(segment) | {"text": segment.text, "speaker": segment.speaker or ""}


def _events(transcript: Transcript, diarized: bool, extra: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a streamed answer: a delta per segment, then the whole text."""
    for number, spoken in enumerate(_spoken(transcript)):
        delta = {"type": "transcript.text.delta", "delta": " " * bool(number) + spoken["text"]}
        if diarized:
            yield spoken
            delta["segment_id"] = spoken["id"]
        yield delta
    yield {"type": "transcript.text.done", "text": transcript.text, **extra}
