"""A driver for tests (stt_lab.lab.runs.systems.child): what it does with a file hangs on the length of its sound."""

from __future__ import annotations

import os
import time
from typing import Any


def load(hello: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    if hello["options"].get("absent"):
        raise ModuleNotFoundError("No module named 'whisperx'")
    print("a library greets", flush=True)

    def hear(samples: Any, language: str | None, speakers: int) -> dict[str, Any]:
        seconds = len(samples) // 16000
        if seconds == 3:
            raise ValueError("three seconds\nand more lines")
        if seconds == 4:
            os._exit(7)
        if seconds == 5:
            time.sleep(60)
        return {
            "text": f" {language} {seconds} ",
            "language": language,
            "segments": [
                {"start": -0.1, "end": -0.2, "text": "one", "words": [{"word": " one", "start": 0, "end": 1}]}
            ],
        }

    return ("pytest", "not-installed"), hear
