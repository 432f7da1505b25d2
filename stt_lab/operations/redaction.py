"""The operation that removes personal data from a transcript or its recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Annotated, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field

from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import PII, PiiKind
from stt_lab.operations.library import PATH, Id, exported
from stt_lab.operations.text import tools
from stt_lab.operations.values import as_list
from stt_lab.privacy.mask import Sound, write
from stt_lab.privacy.redaction import Mode, find_in_transcript, redaction_warnings, spoken, written
from stt_lab.privacy.redaction import redact_transcript as without
from stt_lab.privacy.relisten import Relistener, RemovedValue
from stt_lab.registry import current, operation
from stt_lab.types import File, Transcript
from stt_lab.weights import catalog

Format = Literal["txt", "srt", "vtt", "json", "csv", "docx", "pdf", "tsv", "md", "wav"]
CHUNK = 64 * 1024  # bytes
TITLE = "Redacted transcript"  # the original title may contain a name


def _known(kinds: list[str] | None) -> list[str] | None:
    """Return the kinds, or None for an empty list. Raises ValueError for an unknown kind."""
    for kind in kinds or ():
        if kind not in PII:
            raise ValueError(f"{kind[:40]!r} is not a kind of personal data; use {', '.join(PII)}")
    return kinds or None


Kinds = Annotated[
    list[str] | None,
    BeforeValidator(as_list),
    AfterValidator(_known),
    Field(description=f"Kinds of personal data to remove: {', '.join(PII)}; default: all"),
]


def chosen(kinds: list[str] | None) -> tuple[PiiKind, ...]:
    """Return the kinds to remove; without a choice, all of them."""
    return cast(tuple[PiiKind, ...], tuple(kinds)) if kinds else PII


@operation("POST", f"{PATH}/{{id}}/redact/", scope="library", replayable=False, heavy=True)
def redact_transcript(
    id: Id,
    format: Annotated[Format, Field(description="File format; `wav` is the redacted recording, 16 kHz mono")] = "txt",
    mode: Annotated[
        Mode, Field(description="How to replace personal data: `mark` ([PERSON]), `mask` (█, same length) or `hash`")
    ] = "mark",
    types: Kinds = None,
    sound: Annotated[Sound, Field(description="Sound that replaces personal data in a recording")] = "silence",
) -> File:
    """Return a transcript or its recording without personal data, as a file.

    Named speakers are numbered again. A redacted recording is transcribed again around each removed passage; if any of
    it can still be heard, the request fails. Equal values have equal hashes within one file only.
    """
    runtime, account = current().runtime, current().caller.account_id
    stored = runtime.library.get(account, id)
    transcript = runtime.library.transcript(account, stored.id)
    kinds = chosen(types)
    warnings = redaction_warnings(transcript.text, kinds)
    name = f"transcript-{stored.id}-redacted"
    if format == "wav":
        return File(f"{name}.wav", "audio/wav", _recording(stored.id, transcript, kinds, sound), warnings)
    made = without(transcript, find_in_transcript(tools(), transcript, kinds), written(mode), kinds)
    file = exported(made, format, TITLE, stored.created)
    return File(name + file.suffix, file.media_type, file.chunks, warnings + file.warnings)


def _recording(number: int, transcript: Transcript, kinds: tuple[PiiKind, ...], sound: Sound) -> Iterator[bytes]:
    """Return the recording as WAV with the personal data of these kinds replaced, and verified by transcribing it
    again."""
    context = current()
    runtime, report = context.runtime, context.report
    path = runtime.library.audio(context.caller.account_id, number)
    entities = find_in_transcript(tools(), transcript, kinds)
    gone = [RemovedValue(one.text, span) for one, span in zip(entities, spoken(transcript, entities), strict=True)]
    with runtime.decoder.decode(path, report) as audio:
        with runtime.pool.slot(report):
            model = _listening(runtime.pool, transcript)
            listener = Relistener(tools(), audio, transcript, model, sound, runtime.work_dir)
            spans = listener.silenced(gone)
        file = write(audio, spans, sound, runtime.work_dir, report)
    return _chunks(file)


def _listening(pool: Pool, transcript: Transcript) -> catalog.Model:
    """Return the model that made the transcript if it is installed, otherwise the best installed one."""
    same = (model for model in pool.available("transcribe") if model.id == transcript.model)
    return next(same, None) or pool.best("transcribe")


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
