"""Run whisperX's recogniser: batches of speech found by voice activity detection, without its aligners.

`options`: batch_size, vad_method, compute_type, and asr_options as whisperx.load_model has them.
"""

from __future__ import annotations

from typing import Any


def load(hello: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    import whisperx

    options = dict(hello["options"])
    batch = options.pop("batch_size", 8)
    options.setdefault("compute_type", "int8" if hello["device"] == "cpu" else "float16")
    options.setdefault("vad_method", "pyannote")
    model = whisperx.load_model(hello["weights"], hello["device"], threads=hello["threads"], **options)

    def hear(samples: Any, language: str | None, speakers: int) -> dict[str, Any]:
        model.tokenizer = None  # otherwise it keeps the language of the previous file
        found = model.transcribe(samples, batch_size=batch, language=language)
        segments = [{"start": one["start"], "end": one["end"], "text": one["text"]} for one in found["segments"]]
        text = " ".join(one["text"].strip() for one in segments)
        return {"text": text, "language": found["language"], "segments": segments}

    return ("whisperx", "faster-whisper", "ctranslate2", "torch"), hear
