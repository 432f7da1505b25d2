"""Services behind a URL: OpenAI's audio API, and STT.ai's API, which our server implements.

They get the file itself. The key is read from the environment variable `key_env` and never stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from stt_lab.errors import BadInput, RateLimited, SttError, Unavailable
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.systems.protocol import SystemContext, SystemOutput, language_setting, speaker_setting
from stt_lab.text import language_code
from stt_lab.types import Audio, Event, Report, Segment, Turn, Word

Fields = dict[str, Any]


@dataclass(frozen=True)
class OpenAiService:
    """`engine = "openai-api"`: POST url/audio/transcriptions, where `url` ends with /v1."""

    url: str
    model: str
    language: str = "auto"  # auto, known, or a code
    key_env: str = "OPENAI_API_KEY"
    word_times: bool = False

    def make(self, context: SystemContext) -> WebSystem:
        return WebSystem(self, context, "/audio/transcriptions", self._fields)

    def _fields(self, item: Item) -> Fields:
        fields: Fields = {"model": self.model, "response_format": "verbose_json"}
        if self.word_times:
            fields["timestamp_granularities[]"] = ["word", "segment"]
        language = language_setting(self.language, item)
        return fields | ({"language": language} if language else {})


@dataclass(frozen=True)
class SttService:
    """`engine = "stt-api"`: POST url/v1/transcribe."""

    url: str
    model: str
    language: str = "auto"  # auto, known, or a code
    key_env: str = "STT_API_KEY"
    diarize: bool = False
    speakers: int | Literal["known"] = 0

    def make(self, context: SystemContext) -> WebSystem:
        return WebSystem(self, context, "/v1/transcribe", self._fields)

    def _fields(self, item: Item) -> Fields:
        fields: Fields = {
            "model": self.model,
            "language": language_setting(self.language, item) or "auto",
            "diarize": str(self.diarize).lower(),
            "response_format": "verbose_json",
        }
        return fields | ({"speakers": str(speaker_setting(self.speakers, item))} if self.diarize else {})


class WebSystem:
    remote = True
    capacity = 1

    def __init__(
        self, config: OpenAiService | SttService, context: SystemContext, path: str, fields: Callable[[Item], Fields]
    ) -> None:
        import httpx

        if not config.url.startswith(("http://", "https://")):
            raise BadInput(f"The system {context.name!r} has an invalid url {config.url!r}. Use http:// or https://.")
        self.name = context.name
        self._config, self._fields = config, fields
        key = os.environ.get(config.key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = config.url.rstrip("/") + path
        self._http = httpx.Client(timeout=httpx.Timeout(context.timeout_s, connect=20), headers=headers)

    def start(self, report: Report) -> None:
        """Do nothing: the first recording shows whether the service answers."""

    def transcribe(self, item: Item, audio: Audio, report: Report) -> SystemOutput:
        import httpx

        report(Event("transcribing"))
        try:
            with item.audio.open("rb") as file:
                parts = {"file": (item.audio.name, file, "application/octet-stream")}
                answer = self._http.post(self._url, data=self._fields(item), files=parts)
        except httpx.HTTPError as problem:
            raise Unavailable(
                f"The service did not answer ({type(problem).__name__}). Check that it is running."
            ) from None
        if answer.is_error:
            raise _refusal(answer)
        return _output_of(answer.json(), isinstance(self._config, SttService) and self._config.diarize)

    def processes(self) -> tuple[int, ...]:
        return ()

    def provenance(self) -> dict[str, Any]:
        kept = {name: value for name, value in asdict(self._config).items() if name not in ("url", "key_env")}
        api = "stt" if isinstance(self._config, SttService) else "openai"
        return {"engine": f"{api}-api", "settings": kept}

    def close(self) -> None:
        self._http.close()


def _refusal(answer: Any) -> SttError:
    try:
        body = answer.json()
        said = body.get("error", body)
        said = said.get("message", said) if isinstance(said, dict) else said
    except (ValueError, AttributeError):
        said = "no message"
    kind = RateLimited if answer.status_code == 429 else SttError
    return kind(f"The service answered {answer.status_code}: {str(said)[:300]}")


def _output_of(body: dict[str, Any], diarized: bool) -> SystemOutput:
    """Parse verbose_json of both APIs; OpenAI puts words beside the segments, not into them."""
    segments = tuple(_segment(row) for row in body.get("segments") or ())
    words = tuple(_word(row) for row in body.get("words") or ())
    if words and not any(one.words for one in segments):
        segments = (Segment(words[0].start, max(one.end for one in words), body.get("text", ""), words),)
    text = body.get("text")
    text = " ".join(one.text for one in segments) if text is None else str(text)
    return SystemOutput(text, _language(body.get("language")), segments, _turns(body, segments) if diarized else None)


def _turns(body: dict[str, Any], segments: tuple[Segment, ...]) -> tuple[Turn, ...]:
    """Return the turns of the answer, which may overlap; without them derive turns from segments."""
    if "turns" in body:
        return tuple(Turn(row["start"], row["end"], row["speaker"]) for row in body["turns"])
    return tuple(Turn(one.start, one.end, one.speaker) for one in segments if one.speaker)


def _language(name: str | None) -> str | None:
    """Return the code of a language name: OpenAI writes "english"."""
    try:
        return language_code(name or "")
    except BadInput:
        return name


def _segment(row: dict[str, Any]) -> Segment:
    words = tuple(_word(word) for word in row.get("words") or ())
    start = max(0.0, float(row["start"]))
    return Segment(start, max(start, float(row["end"])), str(row["text"]).strip(), words, row.get("speaker"))


def _word(row: dict[str, Any]) -> Word:
    start = max(0.0, float(row["start"]))
    text = str(row.get("word", row.get("text", "")))
    return Word(start, max(start, float(row["end"])), text, row.get("confidence"), row.get("speaker"))
