"""Run plain faster-whisper; `options` are those of WhisperModel.transcribe, and compute_type."""

from __future__ import annotations

from typing import Any


def load(hello: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    from faster_whisper import WhisperModel

    options = dict(hello["options"])
    kind = options.pop("compute_type", "int8" if hello["device"] == "cpu" else "float16")
    model = WhisperModel(hello["weights"], device=hello["device"], compute_type=kind, cpu_threads=hello["threads"])

    def hear(samples: Any, language: str | None, speakers: int) -> dict[str, Any]:
        found, info = model.transcribe(samples, language=language, **options)
        segments = [
            {"start": one.start, "end": one.end, "text": one.text, "words": [_word(word) for word in one.words or ()]}
            for one in found
        ]
        text = " ".join(str(one["text"]).strip() for one in segments)
        return {"text": text, "language": info.language, "segments": segments}

    return ("faster-whisper", "ctranslate2"), hear


def _word(word: Any) -> dict[str, Any]:
    return {
        "word": word.word,
        "start": float(word.start),
        "end": float(word.end),
        "probability": float(word.probability),
    }
