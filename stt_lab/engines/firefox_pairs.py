"""Firefox Translations between many languages: a folder with a folder for each direction, such as `en-es`.

The engine is fxtranslate (github.com/gregtatum/translations), which reads the files as Mozilla publishes them:
`model.*.bin`, `lex.*.bin`, and `vocab.*.spm`, or `srcvocab.*.spm` and `trgvocab.*.spm`. Where there is no direct
direction, a text goes through English. Nothing is downloaded here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import BadInput, Unavailable
from stt_lab.text.chinese import in_script
from stt_lab.translation.routes import TRADITIONAL, route
from stt_lab.types import Event, Report
from stt_lab.weights.catalog import directions

if TYPE_CHECKING:
    from fxtranslate import Translator

LONG = 600  # characters from which a text is cut into sentences once more, because a single one would be cut off


class FirefoxPairs:
    """A `Translator`. Its directions are loaded on first use."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._loaded: dict[str, Translator] = {}

    def load(self) -> None:
        """Do nothing: which directions are needed is known only by the request."""

    def unload(self) -> None:
        self._loaded.clear()

    def translate(
        self, texts: tuple[str, ...], source: str | None, target: str, report: Report, again: bool = False
    ) -> tuple[str, ...]:
        """See `protocols.Translator`; `again` gives the same result, because these models have only one search."""
        report(Event("translating", 0.0))
        legs = route(source, target, directions(self.spec.folder))
        if not legs:
            raise BadInput(
                f"The model {self.spec.model} does not translate from {str(source)[:20]} into {target[:20]}. "
                "Use another model, or install that pair."
            )
        made = []
        for text in texts:
            for leg in legs:
                text = self._through(leg, text)
            made.append(in_script(text, "Hant") if target == TRADITIONAL else text)
            report(Event("translating", len(made) / len(texts)))
        return tuple(made)

    def _through(self, leg: str, text: str) -> str:
        if leg not in self._loaded:
            self._loaded[leg] = _direction(self.spec.folder / leg, self.spec.model)
        direction = self._loaded[leg]
        made: str = direction.translate_long(text) if len(text) > LONG else direction.translate(text)
        return made


def _direction(folder: Path, model: str) -> Translator:
    """Load a direction. Raises Unavailable for files that are missing or damaged."""
    from fxtranslate import Translator

    def file(*patterns: str) -> bytes | None:
        found = (path for pattern in patterns for path in sorted(folder.glob(pattern)))
        return next((path.read_bytes() for path in found), None)

    weights = file("model.*.bin")
    source, target = file("srcvocab.*.spm", "vocab.*.spm"), file("trgvocab.*.spm", "vocab.*.spm")
    try:
        if weights is None or source is None or target is None:
            raise ValueError("a file is missing")
        return Translator(weights, source, target, file("lex.*.bin"))
    except (ValueError, RuntimeError) as problem:
        raise Unavailable(
            f"The direction {folder.name} of {model} cannot be loaded ({str(problem)[:80]}). Download it again."
        ) from problem
