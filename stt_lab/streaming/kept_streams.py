"""Keep on disk what a stream has made final, so that it outlives the server."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from stt_lab.audio.wav import wav_writer
from stt_lab.streaming.updates import Update
from stt_lab.transcription.render import read_segment, segment_json
from stt_lab.types import CHUNK_BYTES, SAMPLE_BYTES, SAMPLE_RATE, Segment, Transcript

RECORDING = "file"  # as other jobs name theirs, by the parameter


class KeptStream:
    """The folder of a stream: `sound.pcm`, and `finals.jsonl` with a line for each final."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._finals = folder, folder / "finals.jsonl"
        self.sound = folder / "sound.pcm"

    def add(self, update: Update) -> None:
        """Keep a final; it is on disk when this returns."""
        segment = Segment(update.words[0].start, update.words[-1].end, update.text, update.words)
        line = json.dumps({"language": update.language, "segment": segment_json(segment, verbose=True)})
        with self._finals.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def transcript(self, parameters: Mapping[str, Any]) -> Transcript:
        """Return what is final in a stream with these parameters."""
        language, segments = None, []
        for line in self._lines():
            with suppress(ValueError, KeyError, TypeError):  # half a line, which was never sent
                made = json.loads(line)
                segments.append(read_segment(made["segment"]))
                language = made["language"]
        end = max((segment.end for segment in segments), default=0.0)
        return Transcript(language, max(end, self._seconds()), tuple(segments), model=str(parameters.get("model", "")))

    def put_recording(self) -> None:
        """Write the sound as a WAV file, under the name that the recordings of jobs have."""
        self.sound.touch()  # the server may have gone before the first sound was written
        with wav_writer(self._folder / RECORDING) as write, self.sound.open("rb") as file:
            while part := file.read(CHUNK_BYTES):
                write(part)

    def _seconds(self) -> float:
        return self.sound.stat().st_size // SAMPLE_BYTES / SAMPLE_RATE if self.sound.exists() else 0.0

    def _lines(self) -> list[str]:
        return self._finals.read_text("utf-8").splitlines() if self._finals.exists() else []
