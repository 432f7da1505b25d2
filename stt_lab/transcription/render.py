"""Render transcripts as txt, srt, vtt, csv, tsv and the JSON of the API. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from stt_lab.errors import BadInput
from stt_lab.text import clean, clock, sentence_end
from stt_lab.transcription.subtitles import Cue, cues, milliseconds, srt, vtt
from stt_lab.transcription.wording import spelling
from stt_lab.types import Provenance, Rendering, Segment, Span, Suppressed, Track, Transcript, Turn, Unrecognized, Word

FORMATS = ("json", "txt", "text", "srt", "vtt", "verbose_json")
NAME = 16  # characters of a speaker's name, so that a prefix leaves room on the line
PAUSE = 2.0  # seconds of silence that begin a new paragraph or cue of the same speaker
TIME_DIGITS, CONFIDENCE_DIGITS = 3, 4
COLUMNS = ("segment", "start", "end", "speaker", "text", "confidence")
# What spreadsheets take for a formula at the start of a cell; with ";" as separator that may be within our cells
FORMULA = re.compile(r"(?:^|(?<=;))(?=[\s\"]*[=+\-@＝＋－＠])")


def render(transcript: Transcript, format: str) -> Rendering:
    """Render a transcript in one of FORMATS. Raises BadInput for another format."""
    if format not in _RENDERERS:
        raise BadInput(f'The format "{format[:30]}" does not exist. Use one of {", ".join(FORMATS)}.')
    media_type, write = _RENDERERS[format]
    return Rendering("".join(write(transcript)), format, media_type, transcript)


def with_marks(transcript: Transcript) -> Transcript:
    """Return a transcript for reading, in which speech without words stands as [inaudible 0:34-0:36]."""
    marks = [
        Segment(one.start, one.end, f"[inaudible {clock(one.start)}\u2013{clock(one.end)}]", (), one.speaker)
        for one in transcript.unrecognized
    ]
    return replace(transcript, segments=tuple(sorted((*transcript.segments, *marks), key=lambda one: one.start)))


def parts(transcript: Transcript, format: str, times: bool = False) -> tuple[str, Iterator[str]]:
    """Return the media type and the text of a file in parts, for streaming. `times` writes them into a txt."""
    media_type, write = (_RENDERERS | _FILES)[format]
    return media_type, _txt(transcript, times=True) if times and format == "txt" else write(transcript)


# JSON


def to_json(transcript: Transcript, verbose: bool = False) -> dict[str, Any]:
    """Return the answer of POST /v1/transcribe. `verbose` adds ids, confidence and speaker of words, suppressed text,
    speech without words, turns (overlapping ones too) and provenance. Times are rounded to milliseconds, which keeps
    their order."""
    made: dict[str, Any] = {
        "text": transcript.text,
        "language": transcript.language,
        "duration": _rounded(transcript.duration),
        "segments": [_segment(number, segment, verbose) for number, segment in enumerate(transcript.segments)],
        "speakers": list(transcript.speakers),
    }
    made |= {"id": transcript.id} if transcript.id is not None else {}
    made |= {"model": transcript.model} if transcript.model else {}
    made |= {"warnings": list(transcript.warnings)} if transcript.warnings else {}
    made |= {"tracks": [asdict(track) for track in transcript.tracks]} if len(transcript.tracks) > 1 else {}
    if verbose:
        made["suppressed"] = [
            _times(item) | {"text": item.text, "reason": item.reason} for item in transcript.suppressed
        ]
        made["unrecognized"] = unrecognized(transcript)
        made["turns"] = [_times(turn) | {"speaker": turn.speaker} for turn in transcript.turns]
        made["provenance"] = [asdict(item) for item in transcript.provenance]
    return made


def unrecognized(transcript: Transcript) -> list[dict[str, Any]]:
    """Return speech without words, as the API writes it."""
    return [_times(item) | {"speaker": item.speaker} for item in transcript.unrecognized]


def _rounded(value: float | None, digits: int = TIME_DIGITS) -> float | None:
    return None if value is None else round(float(value), digits)


def _times(span: Span) -> dict[str, Any]:
    return {"start": _rounded(span.start), "end": _rounded(span.end)}


def segment_json(segment: Segment, verbose: bool = False) -> dict[str, Any]:
    """Return a segment on its own, as a stream sends it."""
    return _segment(0, segment, verbose)


def _segment(number: int, segment: Segment, verbose: bool) -> dict[str, Any]:
    made = {"id": number} if verbose else {}
    made |= _times(segment) | {"text": segment.text} | ({"speaker": segment.speaker} if segment.speaker else {})
    words = [_word(word, verbose) for word in segment.words if word.plain]
    return made | {"confidence": _rounded(segment.confidence, CONFIDENCE_DIGITS), "words": words}


def _word(word: Word, verbose: bool) -> dict[str, Any]:
    made = {"word": word.plain, **_times(word)}
    if verbose:
        made["confidence"] = _rounded(word.confidence, CONFIDENCE_DIGITS)
        made |= {"speaker": word.speaker} if word.speaker else {}
    return made | ({"corrected": True} if word.corrected else {})


def from_json(made: Mapping[str, Any]) -> Transcript:
    """Make a transcript of the result of `to_json`; only a verbose one has `suppressed`, `unrecognized` and `turns`.

    Raises KeyError, TypeError or ValueError for anything else.
    """
    return Transcript(
        language=made["language"],
        duration=made["duration"],
        segments=tuple(map(read_segment, made["segments"])),
        speakers=tuple(made["speakers"]),
        model=made.get("model", ""),
        warnings=tuple(made.get("warnings", ())),
        suppressed=tuple(Suppressed(**item) for item in made.get("suppressed", ())),
        unrecognized=tuple(Unrecognized(**item) for item in made.get("unrecognized", ())),
        turns=tuple(Turn(**item) for item in made.get("turns", ())),
        provenance=tuple(Provenance(**item) for item in made.get("provenance", ())),
        tracks=tuple(Track(**item) for item in made.get("tracks", ())),
        id=made.get("id"),
    )


def read_segment(made: Mapping[str, Any]) -> Segment:
    """Make a segment of the result of `segment_json`."""
    text, words = made["text"], made["words"]
    written = spelling(text, [word["word"] for word in words])
    return Segment(
        made["start"],
        made["end"],
        text,
        tuple(
            Word(
                word["start"],
                word["end"],
                as_written,
                word.get("confidence"),
                word.get("speaker"),
                word.get("corrected", False),
            )
            for word, as_written in zip(words, written, strict=True)
        ),
        made.get("speaker"),
    )


def _dump(transcript: Transcript, verbose: bool) -> Iterator[str]:
    yield json.dumps(to_json(transcript, verbose), ensure_ascii=False)  # in one piece: two hours are 2 MB


def _file(transcript: Transcript) -> Iterator[str]:
    """Yield the JSON of a file, which also has speech without words."""
    yield json.dumps(to_json(transcript) | {"unrecognized": unrecognized(transcript)}, ensure_ascii=False)


# Plain text


def grouped(segments: Iterable[Segment], by_sentence: bool) -> list[list[Segment]]:
    """Group segments with text by speaker and by long pauses; with `by_sentence` also by the end of a sentence."""
    groups: list[list[Segment]] = []
    for segment in (segment for segment in segments if clean(segment.text)):
        before = groups[-1][-1] if groups else segment
        near = segment.speaker == before.speaker and segment.start - before.end < PAUSE
        if groups and near and not (by_sentence and sentence_end(before.text)):
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def named(groups: Sequence[list[Segment]], longest: int = NAME) -> Iterator[tuple[str, list[Segment]]]:
    """Yield each group with its speaker if the speaker changes, otherwise ""."""
    before: str | None = None
    for group in groups:
        speaker = group[0].speaker
        yield clean(speaker or "")[:longest].strip() if speaker != before else "", group
        before = speaker


def _txt(transcript: Transcript, times: bool = False) -> Iterator[str]:
    """Yield a paragraph per turn and after long pauses, with the name where the speaker changes."""
    for number, (name, group) in enumerate(named(grouped(transcript.segments, by_sentence=False))):
        time = f"[{clock(group[0].start)}] " if times else ""
        prefix = "\n" * bool(number) + time + (f"{name}: " if name else "")
        yield prefix + clean(" ".join(segment.text for segment in group)) + "\n"


# Subtitles


def _cues(transcript: Transcript) -> list[Cue]:
    """Return cues; segments that break off within a sentence are cut as one."""
    ordered = sorted(transcript.segments, key=lambda segment: segment.start)
    return cues(named(grouped(ordered, by_sentence=True)), transcript.duration)


def _srt(transcript: Transcript) -> Iterator[str]:
    yield from srt(_cues(transcript))


def _vtt(transcript: Transcript) -> Iterator[str]:
    yield from vtt(_cues(transcript))


# Tables


def _csv(transcript: Transcript) -> Iterator[str]:
    """Yield a row per segment (RFC 4180): times in seconds, segment number from 0 as in the API.

    The byte order mark at the beginning makes Excel read UTF-8; Python reads it as "utf-8-sig". An apostrophe prevents
    spreadsheets from running speech as a formula.
    """
    yield "\ufeff"
    yield from map(_row, _table(transcript))


def _tsv(transcript: Transcript) -> Iterator[str]:
    """Yield the same rows with tabs between cells, which have none; UTF-8 without a mark."""
    for row in _table(transcript):
        yield "\t".join("" if cell is None else str(cell) for cell in row) + "\n"


def _table(transcript: Transcript) -> Iterator[Sequence[object]]:
    """Yield the columns' names, then the cells of each segment, on one line and no formulas."""
    yield COLUMNS
    for number, segment in enumerate(transcript.segments):
        times = (f"{milliseconds(time) / 1000:.3f}" for time in (segment.start, segment.end))
        texts = (FORMULA.sub("'", clean(text)) for text in (segment.speaker or "", segment.text))
        yield (number, *times, *texts, _rounded(segment.confidence, CONFIDENCE_DIGITS))


def _row(cells: Iterable[object]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


_RENDERERS: dict[str, tuple[str, Callable[[Transcript], Iterator[str]]]] = {
    "json": ("application/json", lambda transcript: _dump(transcript, verbose=False)),
    "verbose_json": ("application/json", lambda transcript: _dump(transcript, verbose=True)),
    "txt": ("text/plain", _txt),
    "text": ("text/plain", _txt),
    "srt": ("application/x-subrip", _srt),
    "vtt": ("text/vtt", _vtt),
}
_FILES: dict[str, tuple[str, Callable[[Transcript], Iterator[str]]]] = {  # what files have otherwise, or only they
    "json": ("application/json", _file),
    "csv": ("text/csv", _csv),
    "tsv": ("text/tab-separated-values", _tsv),
}
