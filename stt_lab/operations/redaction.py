"""Operations that take personal data out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Annotated, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field

from stt_lab.documents import export
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import PII, PiiKind
from stt_lab.operations.library import PATH, Id
from stt_lab.operations.text import tools
from stt_lab.operations.values import listed
from stt_lab.privacy.mask import Sound, write
from stt_lab.privacy.redaction import Mode, doubts, find_in, spoken, written
from stt_lab.privacy.redaction import redact_transcript as without
from stt_lab.privacy.relisten import Listener, Secret
from stt_lab.registry import current, operation
from stt_lab.types import File, Transcript
from stt_lab.weights import catalog

Format = Literal["txt", "srt", "vtt", "json", "csv", "docx", "pdf", "wav"]
CHUNK = 64 * 1024  # bytes
TITLE = "Redacted transcript"  # a title may tell who speaks


def _known(kinds: list[str] | None) -> list[str] | None:
    for kind in kinds or ():
        if kind not in PII:
            raise ValueError(f"there is no kind {kind[:40]!r}; choose from {', '.join(PII)}")
    return kinds or None


Kinds = Annotated[
    list[str] | None,
    BeforeValidator(listed),
    AfterValidator(_known),
    Field(description=f"what to take out, of {', '.join(PII)}; without any, all of it"),
]


def chosen(kinds: list[str] | None) -> tuple[PiiKind, ...]:
    return cast(tuple[PiiKind, ...], tuple(kinds)) if kinds else PII


@operation("POST", f"{PATH}/{{id}}/redact/", scope="library", replayable=False)
def redact_transcript(
    id: Id,
    format: Annotated[Format, Field(description="of the file; wav is the recording itself, 16 kHz, mono")] = "txt",
    mode: Annotated[Mode, Field(description="[PERSON], as many blocks as characters, or a hash a value")] = "mark",
    types: Kinds = None,
    sound: Annotated[Sound, Field(description="in place of what was said, in a recording")] = "silence",
) -> File:
    """Give a transcript or its recording without personal data.

    Speakers who were given names are numbered again. A recording is transcribed again around each place, and not given
    out when something can still be heard. Hashes are the same for the same value within one file only.
    """
    runtime, account = current().runtime, current().caller.account_id
    stored = runtime.library.get(account, id)
    transcript = runtime.library.transcript(account, stored.id)
    kinds = chosen(types)
    warnings = doubts(transcript.text, kinds)
    name = f"transcript-{stored.id}-redacted"
    if format == "wav":
        return File(f"{name}.wav", "audio/wav", _recording(stored.id, transcript, kinds, sound), warnings)
    made = without(transcript, find_in(tools(), transcript, kinds), written(mode), kinds)
    file = export(made, format, TITLE, stored.created)
    return File(name + file.suffix, file.media_type, file.chunks, warnings + file.warnings)


def _recording(number: int, transcript: Transcript, kinds: tuple[PiiKind, ...], sound: Sound) -> Iterator[bytes]:
    """The recording of a transcript without what was said of these kinds, checked."""
    context = current()
    runtime, report = context.runtime, context.report
    path = runtime.library.audio(context.caller.account_id, number)
    entities = find_in(tools(), transcript, kinds)
    gone = [Secret(one.text, span) for one, span in zip(entities, spoken(transcript, entities), strict=True)]
    with runtime.decoder.decode(path, report) as audio:
        with runtime.pool.slot(report):
            model = _listening(runtime.pool, transcript)
            listener = Listener(tools(), audio, transcript, model, sound, runtime.work_dir)
            spans = listener.silenced(gone)
        file = write(audio, spans, sound, runtime.work_dir, report)
    return _chunks(file)


def _listening(pool: Pool, transcript: Transcript) -> catalog.Model:
    """The model that the transcript is of, if it is here; else the best that is."""
    same = (model for model in pool.available("transcribe") if model.id == transcript.model)
    return next(same, None) or pool.best("transcribe")


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
