"""presidio's analyzer with our recognisers beside its own, on an installed spaCy pipeline.

If a recogniser is unknown or takes too long, presidio only logs it and lets the text pass. Here its warnings are
errors, so that nothing passes unread; and because its messages may quote the text, none reaches a log.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stt_lab.engines.long_words import LongWords
from stt_lab.engines.pii import numbers, patterns
from stt_lab.engines.pii.casing import cased
from stt_lab.engines.pii.hits import Find, PiiHit
from stt_lab.engines.pii.people import given_names, people
from stt_lab.engines.pii.spoken import in_speech
from stt_lab.engines.protocols import PII
from stt_lab.errors import EngineCrashed, SttError

# Imports of unused presidio recognisers: seconds, and hundreds of megabytes
UNUSED = ("transformers", "stanza", "spacy_stanza", "gliner", "spacy_huggingface_pipelines", "langextract")
LANGUAGE = "en"
WORDS = "words"  # key in the metadata of a name: words that mean the same person elsewhere

RULES: dict[str, Find] = {
    "CREDIT_CARD": in_speech(numbers.cards),
    "IBAN_CODE": in_speech(numbers.ibans),
    "PHONE_NUMBER": in_speech(numbers.phones),
    "EMAIL_ADDRESS": patterns.mails,
    "IP_ADDRESS": in_speech(patterns.machines),
    "DATE_OF_BIRTH": patterns.births,
    "ADDRESS": patterns.houses,
}


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Make modules impossible to import inside the block, unless they are imported already."""
    blocked = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]  # None: no such module
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]


class _Loud(logging.Handler):
    """Raises an error for every log record."""

    def emit(self, record: logging.LogRecord) -> None:
        raise EngineCrashed("A recogniser of personal data gave up, so nothing was returned. Send the text in parts.")


@contextmanager
def loud() -> Iterator[None]:
    """Turn presidio's warnings into errors inside the block."""
    logger = logging.getLogger("presidio-analyzer")
    handler, level, propagate = _Loud(logging.WARNING), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        if not logger.isEnabledFor(logging.WARNING):
            raise EngineCrashed(
                "Logging is disabled in this program, so failed recognisers would go unnoticed. Enable it."
            )
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class Analyzer:
    """Analyzes one block of a text at a time."""

    def __init__(self, folder: Path) -> None:
        with without(*UNUSED), loud():
            self._engine = _engine(folder)
            self._vocabulary = frozenset(self._engine.nlp_engine.get_nlp(LANGUAGE).vocab.strings)  # before it grows
            known = set(self._engine.get_supported_entities(LANGUAGE))
        if missing := set(PII) - known:
            raise EngineCrashed(f"The recognisers for {', '.join(sorted(missing))} are missing. Reinstall stt_lab.")
        given_names()

    def read(self, text: str, kinds: tuple[str, ...]) -> tuple[list[tuple[str, PiiHit]], set[str]]:
        """Return (kind, hit) pairs, and the words of names. Raises EngineCrashed if a recogniser fails."""
        try:
            with loud():
                found = self._engine.analyze(cased(text, self._vocabulary), LANGUAGE, list(kinds))
        except SttError:
            raise
        except Exception as problem:
            kind = type(problem).__name__  # its message may quote the text
            raise EngineCrashed(
                f"A recogniser of personal data failed ({kind}), so nothing was returned. Report this error."
            ) from None
        words = {word for one in found for word in one.recognition_metadata.get(WORDS, ())}
        return [(one.entity_type, PiiHit(one.start, one.end, one.score)) for one in found], words


def _engine(folder: Path) -> Any:
    import spacy
    from presidio_analyzer import AnalyzerEngine, LocalRecognizer, RecognizerRegistry, RecognizerResult
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import CreditCardRecognizer, IbanRecognizer

    class Pipeline(SpacyNlpEngine):  # type: ignore[misc]
        """An installed pipeline: the class itself would download one."""

        def __init__(self) -> None:
            super().__init__([{"lang_code": LANGUAGE, "model_name": str(folder)}])
            nlp = spacy.load(folder, exclude=["parser", "senter"])
            nlp.tokenizer = LongWords(nlp.tokenizer, nlp.vocab)
            self.nlp = {LANGUAGE: nlp}
            labels = self.nlp[LANGUAGE].get_pipe("ner").labels
            self.ner_model_configuration = NerModelConfiguration(
                labels_to_ignore=labels
            )  # `Names` reads the tokens instead

    class PiiRule(LocalRecognizer):  # type: ignore[misc]
        """A recogniser that calls one function."""

        def __init__(self, kind: str, find: Find) -> None:
            self._find = find
            super().__init__([kind], name=f"{kind} as it is said", supported_language=LANGUAGE)

        def load(self) -> None: ...

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            return [self.result(hit) for hit in self._find(text)]

        def result(self, hit: PiiHit, **metadata: Any) -> Any:
            metadata |= {
                RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
                RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            }
            return RecognizerResult(
                self.supported_entities[0], hit.start, hit.end, hit.score, recognition_metadata=metadata
            )

    class Names(PiiRule):
        """A recogniser for names, by the pipeline's tokens and entities."""

        def __init__(self) -> None:
            super().__init__("PERSON", lambda text: ())

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            return [self.result(hit, **{WORDS: words}) for hit, words in people(nlp_artifacts.tokens)]

    own = [PiiRule(kind, find) for kind, find in RULES.items()]
    registry = RecognizerRegistry(
        [*own, Names(), CreditCardRecognizer(), IbanRecognizer()], supported_languages=[LANGUAGE]
    )
    return AnalyzerEngine(registry, Pipeline(), supported_languages=[LANGUAGE])
