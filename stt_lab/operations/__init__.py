"""The operations themselves: short functions that compose engines and pure modules."""

from stt_lab.operations.info import health, languages, models
from stt_lab.operations.speech import transcribe

__all__ = ["health", "languages", "models", "transcribe"]
