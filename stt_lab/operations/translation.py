"""Operations that translate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput
from stt_lab.operations.text import split, tools, worded, worded_each
from stt_lab.registry import PROSE, current, operation
from stt_lab.text.sentences import language_of
from stt_lab.translation import Translated, Turn
from stt_lab.translation import languages as known
from stt_lab.translation import translate as translated
from stt_lab.translation.cutting import pieces
from stt_lab.types import TextSpan
from stt_lab.weights.catalog import ANY, Model
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import Statement

SURE = 200  # letters, from which a text that seems to be in another language than was said is worth a warning


@dataclass(frozen=True)
class Translation:
    translated_text: str
    source_language: str | None  # None: there is nothing to tell it by
    target_language: str
    model: str | None  # None: nothing was to be translated
    warnings: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()  # what was written for each sentence, and where that is in the text


@dataclass(frozen=True)
class Translations:
    translations: tuple[Translation, ...]  # in the order of the texts


@dataclass(frozen=True)
class TranslationLanguage:
    code: str  # BCP-47
    name: str
    available: bool  # whether a model that is here writes it


@dataclass(frozen=True)
class TranslationLanguages:
    languages: tuple[TranslationLanguage, ...]
    pairs: tuple[str, ...]  # what can be done here: "en-pt" is from English into Portuguese, "any" everything


@dataclass(frozen=True)
class _Plan:
    """How a text is translated."""

    source: str | None
    target: str
    model: Model | None  # None: not at all
    warnings: tuple[str, ...] = ()

    def turn(self) -> Turn:
        assert self.model is not None
        return partial(_turned, tools(), self)

    def answer(self, made: Translated) -> Translation:
        model = self.model.id if self.model else None
        statements = tuple(Statement(piece.translation, (TextSpan(piece.start, piece.end),)) for piece in made.pieces)
        return Translation(made.text, self.source, self.target, model, self.warnings + made.warnings, statements)


def _turned(tools: Tools, plan: _Plan, texts: Sequence[str], again: bool) -> list[str]:
    assert plan.model is not None
    return tools.translate(plan.model, texts, plan.source, plan.target, again)


def _worded(text: str | None) -> str | None:
    return None if text is None else worded(text)


def _worded_each(texts: list[str] | None) -> list[str] | None:
    return None if texts is None else worded_each(texts)


Source = Annotated[str, Field(description="language of the text: a code such as en or por, a name, or auto")]
Target = Annotated[str, Field(description="language to write: a code such as pt or zh-Hant, or a name")]
Translating = Annotated[str, Field(description="who translates: auto (the best that is here) or a model's id")]
PROSE_MARK = {PROSE: True}


@operation("POST", "/v1/translate", scope="text")
def translate(
    target: Target,
    text: Annotated[
        str | None, AfterValidator(_worded), Field(description="text to translate", json_schema_extra=PROSE_MARK)
    ] = None,
    texts: Annotated[
        list[str] | None,
        BeforeValidator(split),
        AfterValidator(_worded_each),
        Field(description="many of them, in its stead", json_schema_extra=PROSE_MARK),
    ] = None,
    source: Source = "en",
    model: Translating = AUTO,
) -> Translation | Translations:
    """Translate a text, or many.

    Sentence by sentence: white space, bullets, addresses and emoji stay where they are. What seems to be incomplete or
    repeats itself is translated again otherwise; what still seems wrong then is named in `warnings`. `statements` say
    which stretch of the text (characters, `text[start:end]`) each sentence of the translation is of.
    """
    if (text is None) == (texts is None):
        raise BadInput("Send either 'text' or 'texts': the one for one text, the other for a list of them.")
    if text is not None:
        return translate_all([text], source, target, model)[0]
    return Translations(translate_all(texts or [], source, target, model))


@operation("GET", "/v1/translate/languages")
def translation_languages() -> TranslationLanguages:
    """List the languages that texts can be translated between, and which of them this installation writes."""
    here = [model for model in current().runtime.pool.available("translate") if not model.for_tests]
    pairs = tuple(dict.fromkeys(pair for model in here for pair in model.pairs))
    written = {pair.partition("-")[2] for pair in pairs}
    found = known.languages().values()
    return TranslationLanguages(
        tuple(TranslationLanguage(one.code, one.name, ANY in pairs or one.code in written) for one in found), pairs
    )


# How


def translate_all(texts: Sequence[str], source: str, target: str, wanted: str) -> tuple[Translation, ...]:
    """Each text by its plan; those with the same languages and model together."""
    whole = language_of(" ".join(texts)) if source == AUTO else None
    plans = [_plan(text, source, whole, known.language(target), wanted) for text in texts]
    made: dict[int, Translation] = {}
    for plan in dict.fromkeys(plans):
        mine = [number for number, other in enumerate(plans) if other == plan]
        given = [texts[number] for number in mine]
        found = translated(given, plan.turn()) if plan.model else [Translated(text, ()) for text in given]
        made |= {number: plan.answer(one) for number, one in zip(mine, found, strict=True)}
    return tuple(made[number] for number in range(len(texts)))


def _plan(text: str, source: str, whole: str | None, target: known.Language, wanted: str) -> _Plan:
    """Raises BadInput for languages that are not known, ModelMissing where nothing here translates between them.

    `whole`: the language of all texts together, for one that is too short to be told.
    """
    seems = language_of(text)
    said = (seems or whole) if source == AUTO else source
    spoken = known.language(said) if said else None
    code = spoken.code if spoken else None
    warnings = _doubts(text, seems, spoken) if source != AUTO else ()
    if code == target.code:
        return _Plan(code, target.code, None, (f"The text is in {target.name} already, and was left as it is.",))
    if not pieces(text):
        return _Plan(code, target.code, None)
    model, more = current().runtime.pool.translator(code, target.code, wanted)
    return _Plan(code, target.code, model, warnings + more)


def _doubts(text: str, seems: str | None, said: known.Language | None) -> tuple[str, ...]:
    if seems is None or said is None or sum(map(str.isalpha, text)) < SURE:
        return ()
    found = known.languages().get(seems)
    if found is None or found.code == said.code.split("-")[0]:
        return ()
    return (f"The text seems to be in {found.name}, not in {said.name}: send source={found.code} or auto.",)
