"""Random sampling that gives a recording the same text whatever is recognized before it or at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctranslate2.models import Whisper


class SamplingModel:
    """A model that is replaced by the one that `draws` returns before it draws the first sample."""

    def __init__(self, model: Whisper, draws: Callable[[], Whisper]) -> None:
        self._model: Any = model
        self._draws: Callable[[], Whisper] | None = draws
        self.pause: Callable[[], None] = lambda: None  # called before each search with sampling

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, *args: Any, sampling_temperature: float = 0, **options: Any) -> Any:
        if sampling_temperature:
            self.pause()
        if sampling_temperature and self._draws is not None:
            self._model = None  # frees the memory if nothing else holds it
            self._model, self._draws = self._draws(), None
        return self._model.generate(*args, sampling_temperature=sampling_temperature or 1, **options)
