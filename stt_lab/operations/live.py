"""Live speech: the operation on a file, and the token that opens a WebSocket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stt_lab.accounts.one_time_tokens import STREAM_TOKEN_S, stream_tokens
from stt_lab.engines.admission import Gauge
from stt_lab.engines.pool import AUTO
from stt_lab.engines.turns import turn_end
from stt_lab.errors import BadInput
from stt_lab.operations.speech import Language, SpeechModel
from stt_lab.pipeline import Models, choose_models
from stt_lab.registry import Charge, Media, current, operation
from stt_lab.streaming.session import PACE, Pace
from stt_lab.streaming.stream import Live, Sound, listen_live, sound_of
from stt_lab.streaming.updates import Update

Store = Annotated[bool, Field(description="Keep transcript and recording in the library of the key's account")]
SilenceMs = Annotated[
    int, Field(ge=250, le=2000, description="Milliseconds of silence that end what was said; text shifts it")
]


@dataclass(frozen=True)
class StreamToken:
    """A token that opens one stream."""

    token: str
    expires_in: int  # seconds


def choose(model: str, language: str, **others: object) -> Models:
    """Choose the models of a stream."""
    return choose_models(current().runtime.pool, model, language, diarize=False)


@operation("POST", "/v1/stream", scope="speech", charge=Charge("input"), plan=choose, live=True)
def stream(
    file: Media,
    model: SpeechModel = AUTO,
    language: Language = "auto",
    store: Store = False,
    silence_ms: SilenceMs = 700,
    speed: Annotated[
        Literal["real", "max"], Field(description="`real` takes as long as the recording, `max` no longer than needed")
    ] = "real",
) -> Iterator[Update]:
    """Transcribe a recording as live speech: yield text while it is heard.

    For a microphone there is a WebSocket at the same address (docs/live.md). Over HTTP the answer has a line of JSON
    for each update.
    """
    context = current()
    if store and context.recording is None:
        raise BadInput("The parameter 'store' needs a server. Start one with `stt-lab serve`, and send the file there.")
    with context.runtime.decoder.decode(file, context.report) as audio:
        real = speed == "real"
        yield from live_updates(sound_of(audio, real), silence_ms, audio.warnings, urgent=real)


def live_updates(
    sound: Sound,
    silence_ms: int,
    warnings: tuple[str, ...] = (),
    urgent: bool = True,
    gauge: Gauge | None = None,
) -> Iterator[Update]:
    """Yield the updates of a stream in the context of its operation."""
    context = current()
    models: Models = context.plan
    with ExitStack() as stack:
        folder = context.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        live = Live(
            context.runtime.pool,
            models.transcriber,
            models.language,
            folder,
            context.report,
            context.meter,
            context.recording,
            pace_of(silence_ms),
            (*models.warnings, *warnings),
            urgent,
            gauge or Gauge(),
            turn_end(context.runtime.settings),
        )
        yield from listen_live(live, sound)


def pace_of(silence_ms: int) -> Pace:
    """Return the pace whose usual silence is so long; sentences end sooner, and clauses later, by the same share."""
    share = silence_ms / 1000 / PACE.silence_s
    return replace(
        PACE,
        silence_s=PACE.silence_s * share,
        sentence_silence_s=PACE.sentence_silence_s * share,
        open_silence_s=PACE.open_silence_s * share,
        unfinished_silence_s=PACE.unfinished_silence_s * share,
    )


@operation("POST", "/v1/stream/token", scope="speech", replayable=False)
def stream_token() -> StreamToken:
    """Make a token that opens one stream, once, within a minute: for a browser, to which a key should not be given."""
    context = current()
    caller = context.caller
    tokens = stream_tokens(context.runtime.settings.data_dir, caller.account_id)
    return StreamToken(tokens.make("" if caller.key_id is None else str(caller.key_id)), STREAM_TOKEN_S)
