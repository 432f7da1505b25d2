"""Convert transcripts to rows and back, without loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from stt_lab.store.transcripts import TranscriptHeader
from stt_lab.types import Provenance, Segment, Suppressed, Track, Transcript, Turn, Unrecognized, Word

Names = Mapping[str, str]  # speaker label of the engines -> displayed name
RESTORED = ("title", "language", "model", "words", "speakers", "names", "tags")  # columns that revisions restore


def columns(transcript: Transcript) -> dict[str, Any]:
    """Return the columns of a transcript's row; at first every speaker is displayed by its label."""
    return {
        "language": transcript.language,
        "duration": transcript.duration,
        "model": transcript.model,
        "words": sum(map(word_count, transcript.segments)),
        "speakers": list(transcript.speakers),
        "names": {label: label for label in _labels(transcript) if label is not None},
        "details": {
            "warnings": list(transcript.warnings),
            "suppressed": [[item.start, item.end, item.text, item.reason] for item in transcript.suppressed],
            "unrecognized": [[item.start, item.end, item.speaker] for item in transcript.unrecognized],
            "turns": [[turn.start, turn.end, turn.speaker] for turn in transcript.turns],
            "provenance": [asdict(item) for item in transcript.provenance],
            "tracks": [asdict(track) for track in transcript.tracks],
        },
    }


def labels_in(details: Mapping[str, Any]) -> set[str]:
    """Return the speaker labels of turns and of speech without words."""
    return {item[2] for name in ("turns", "unrecognized") for item in details.get(name, ())}


def _labels(transcript: Transcript) -> list[str | None]:
    """Return every speaker label that occurs anywhere; a speaker who only makes noise has turns and no word."""
    segments = transcript.segments
    words = [word.speaker for segment in segments for word in segment.words]
    return [
        *transcript.speakers,
        *(segment.speaker for segment in segments),
        *words,
        *(turn.speaker for turn in transcript.turns),
    ]


def segment_row(segment: Segment) -> dict[str, Any]:
    """Return the columns of a segment's row."""
    words = [_word_row(word, segment.speaker) for word in segment.words]
    text = storable(segment.text)
    return {"start": segment.start, "end": segment.end, "speaker": segment.speaker, "text": text, "words": words}


def _word_row(word: Word, speaker: str | None) -> list[Any]:
    """Return text, start and end, then the confidence, if any; then the speaker, if it differs from the segment's; last
    whether it is corrected, if it is."""
    made = [storable(word.text), word.start, word.end]
    if word.corrected:
        return [*made, word.confidence, word.speaker, True]
    if word.speaker != speaker:
        return [*made, word.confidence, word.speaker]
    return [*made, *([] if word.confidence is None else [word.confidence])]


def word_count(segment: Segment) -> int:
    """Return how many words a segment has on the wire; without word times, how many its text has."""
    return sum(bool(word.plain) for word in segment.words) or len(segment.text.split())


def storable(text: str) -> str:
    """Remove what no database accepts in a text: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def transcript(row: TranscriptHeader, details: Mapping[str, Any], segments: Iterable[Segment]) -> Transcript:
    """Make a transcript of its row, its details and its segments."""
    return Transcript(
        language=row.language,
        duration=row.duration,
        segments=tuple(segments),
        speakers=tuple(row.speakers),
        model=row.model,
        warnings=tuple(details["warnings"]),
        suppressed=tuple(Suppressed(*item) for item in details["suppressed"]),
        unrecognized=tuple(
            Unrecognized(start, end, shown(label, row.names)) for start, end, label in details.get("unrecognized", ())
        ),
        turns=tuple(Turn(start, end, row.names[label]) for start, end, label in details["turns"]),
        provenance=tuple(Provenance(**item) for item in details["provenance"]),
        tracks=tuple(Track(**item) for item in details.get("tracks", ())),
    )


def segment(found: Any, names: Names) -> Segment:
    """Make a segment of a row with start, end, speaker, text and words."""
    return segment_of(found._mapping, names)


def segment_of(row: Mapping[str, Any], names: Names) -> Segment:
    """Make a segment of its values by column."""
    speaker = row["speaker"]
    words = tuple(_word(speaker, names, *word) for word in row["words"])
    return Segment(row["start"], row["end"], row["text"], words, shown(speaker, names))


def _word(
    speaker: str | None,
    names: Names,
    text: str,
    start: float,
    end: float,
    confidence: float | None = None,
    *own: Any,
) -> Word:
    return Word(start, end, text, confidence, shown(own[0] if own else speaker, names), own[1:] == (True,))


def shown(label: str | None, names: Names) -> str | None:
    """Return the displayed name of a speaker label."""
    return None if label is None else storable(str(names.get(label, label) if isinstance(names, Mapping) else label))
