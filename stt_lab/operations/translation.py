"""Operations that translate texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput
from stt_lab.operations.text import as_text_list, require_words, require_words_in_each, tools
from stt_lab.registry import PROSE, current, operation
from stt_lab.text.sentences import language_of
from stt_lab.translation import TranslateBatch, Translated
from stt_lab.translation import languages as known
from stt_lab.translation import translate as translated
from stt_lab.translation.cutting import pieces
from stt_lab.types import TextSpan
from stt_lab.weights.catalog import ANY, Model
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import Statement

SURE = 200  # letters a text must have before a mismatch of its language is worth a warning


@dataclass(frozen=True)
class Translation:
    """The translation of one text."""

    translated_text: str
    source_language: str | None  # None: too little text to detect it
    target_language: str
    model: str | None  # None: nothing needed translation
    warnings: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()  # each translated sentence with its source span


@dataclass(frozen=True)
class Translations:
    """The translations of several texts."""

    translations: tuple[Translation, ...]  # in the order of the texts


@dataclass(frozen=True)
class TranslationLanguage:
    """A language that texts can be translated into."""

    code: str  # BCP-47
    name: str
    available: bool  # an installed model writes it


@dataclass(frozen=True)
class TranslationLanguages:
    """All languages of translation, and the directions that installed models support."""

    languages: tuple[TranslationLanguage, ...]
    pairs: tuple[str, ...]  # "en-pt" is English to Portuguese, "any" every direction


@dataclass(frozen=True)
class _Plan:
    """The languages and the model for one text."""

    source: str | None
    target: str
    model: Model | None  # None: the text stays unchanged
    warnings: tuple[str, ...] = ()

    def translate_batch(self) -> TranslateBatch:
        assert self.model is not None
        return partial(_translate_batch, tools(), self)

    def answer(self, made: Translated) -> Translation:
        model = self.model.id if self.model else None
        statements = tuple(Statement(piece.translation, (TextSpan(piece.start, piece.end),)) for piece in made.pieces)
        return Translation(made.text, self.source, self.target, model, self.warnings + made.warnings, statements)


def _translate_batch(tools: Tools, plan: _Plan, texts: Sequence[str], again: bool) -> list[str]:
    assert plan.model is not None
    return tools.translate(plan.model, texts, plan.source, plan.target, again)


def _require_words(text: str | None) -> str | None:
    return None if text is None else require_words(text)


def _require_words_in_each(texts: list[str] | None) -> list[str] | None:
    return None if texts is None else require_words_in_each(texts)


SourceLanguage = Annotated[
    str, Field(description="Language of the text: a code such as `en` or `por`, a name, or `auto` (detect)")
]
TargetLanguage = Annotated[str, Field(description="Target language: a code such as `pt` or `zh-Hant`, or a name")]
TranslatorModel = Annotated[str, Field(description="Model: `auto` (best installed), or a model id")]
PROSE_MARK = {PROSE: True}


@operation("POST", "/v1/translate", scope="text")
def translate(
    target: TargetLanguage,
    text: Annotated[
        str | None, AfterValidator(_require_words), Field(description="Text to translate", json_schema_extra=PROSE_MARK)
    ] = None,
    texts: Annotated[
        list[str] | None,
        BeforeValidator(as_text_list),
        AfterValidator(_require_words_in_each),
        Field(description="List of texts to translate; use instead of `text`", json_schema_extra=PROSE_MARK),
    ] = None,
    source: SourceLanguage = "en",
    model: TranslatorModel = AUTO,
) -> Translation | Translations:
    """Translate a text, or a list of texts.

    Translation works sentence by sentence: white space, bullets, addresses and emoji stay in place. Sentences whose
    translation looks incomplete or repetitive are translated again; remaining doubts are listed in `warnings`.
    `statements` map each translated sentence to its source span (characters, `text[start:end]`).
    """
    if (text is None) == (texts is None):
        raise BadInput("Send either 'text' (one text) or 'texts' (a list).")
    if text is not None:
        return translate_all([text], source, target, model)[0]
    return Translations(translate_all(texts or [], source, target, model))


@operation("GET", "/v1/translate/languages")
def translation_languages() -> TranslationLanguages:
    """List the languages that texts can be translated between, and which of them are available here."""
    pool = current().runtime.pool
    here = [model for model in pool.available("translate") if not model.for_tests]
    pairs = tuple(dict.fromkeys(pair for model in here for pair in pool.pairs(model)))
    written = {pair.partition("-")[2] for pair in pairs}
    found = known.languages().values()
    return TranslationLanguages(
        tuple(TranslationLanguage(one.code, one.name, ANY in pairs or one.code in written) for one in found), pairs
    )


def translate_all(texts: Sequence[str], source: str, target: str, wanted: str) -> tuple[Translation, ...]:
    """Translate texts in order; texts with the same languages and model share one batch."""
    whole = language_of(" ".join(texts)) if source == AUTO else None
    plans = [_plan(text, source, whole, known.language(target), wanted) for text in texts]
    made: dict[int, Translation] = {}
    for plan in dict.fromkeys(plans):
        mine = [number for number, other in enumerate(plans) if other == plan]
        given = [texts[number] for number in mine]
        found = [Translated(text, ()) for text in given]
        if plan.model:
            found = translated(given, plan.translate_batch(), plan.source)
        made |= {number: plan.answer(one) for number, one in zip(mine, found, strict=True)}
    return tuple(made[number] for number in range(len(texts)))


def _plan(text: str, source: str, whole: str | None, target: known.Language, wanted: str) -> _Plan:
    """Choose languages and model for one text.

    `whole` is the language of all texts together, used for a text too short to detect. Raises BadInput for an unknown
    language, ModelMissing if no installed model translates this direction.
    """
    seems = language_of(text)
    said = (seems or whole) if source == AUTO else source
    spoken = known.language(said) if said else None
    code = spoken.code if spoken else None
    warnings = _doubts(text, seems, spoken) if source != AUTO else ()
    if code == target.code:
        return _Plan(code, target.code, None, (f"The text is already in {target.name}. It was not changed.",))
    if not pieces(text):
        return _Plan(code, target.code, None)
    model, more = current().runtime.pool.translator(code, target.code, wanted)
    return _Plan(code, target.code, model, warnings + more)


def _doubts(text: str, seems: str | None, said: known.Language | None) -> tuple[str, ...]:
    """Warn if the text appears to be in another language than the caller stated."""
    if seems is None or said is None or sum(map(str.isalpha, text)) < SURE:
        return ()
    found = known.languages().get(seems)
    if found is None or found.code == said.code.split("-")[0]:
        return ()
    return (f"The text appears to be in {found.name}, not {said.name}. Send source={found.code} or source=auto.",)
