"""Run plain openai-whisper; `options` are those of whisper.transcribe."""

from __future__ import annotations

from typing import Any


def load(hello: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    import torch
    import whisper

    torch.set_num_threads(hello["threads"])
    model = whisper.load_model(hello["weights"], device=hello["device"])
    options = {"fp16": hello["device"] != "cpu", "verbose": None} | hello["options"]

    def hear(samples: Any, language: str | None, speakers: int) -> dict[str, Any]:
        found = model.transcribe(samples, language=language, **options)
        segments = [
            {"start": one["start"], "end": one["end"], "text": one["text"], "words": _words(one)}
            for one in found["segments"]
        ]
        return {"text": found["text"], "language": found["language"], "segments": segments}

    return ("openai-whisper", "torch"), hear


def _words(segment: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "word": one["word"],
            "start": float(one["start"]),
            "end": float(one["end"]),
            "probability": float(one["probability"]),
        }
        for one in segment.get("words", ())
    ]
