"""Run whisper.cpp through pywhispercpp; `options` are fields of whisper_full_params, and beam_size."""

from __future__ import annotations

from typing import Any

TICK = 100  # ticks per second in whisper.cpp's times


def load(hello: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    from pywhispercpp.model import Model

    options = dict(hello["options"])
    model = Model(hello["weights"], n_threads=hello["threads"], print_progress=False, print_realtime=False, **options)

    def hear(samples: Any, language: str | None, speakers: int) -> dict[str, Any]:
        found = model.transcribe(samples, language=language or "auto")
        segments = [_segment(one) for one in found]
        return {"text": " ".join(one["text"].strip() for one in segments), "language": language, "segments": segments}

    return ("pywhispercpp",), hear


def _segment(one: Any) -> dict[str, Any]:
    return {"start": one.t0 / TICK, "end": one.t1 / TICK, "text": one.text}
