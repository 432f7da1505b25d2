"""presidio's analyzer with our recognisers beside its own, over a spaCy pipeline that is here.

presidio lets a text pass when a recogniser takes too long or is unknown, and says so in its log only. Here whatever it
logs as a warning is an error, so that nothing passes unread; and since its messages may quote the text, none reaches
a log.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stt_lab.engines.pii import numbers, patterns
from stt_lab.engines.pii.casing import cased
from stt_lab.engines.pii.hits import Find, PiiHit
from stt_lab.engines.pii.people import given_names, people
from stt_lab.engines.pii.spoken import in_speech
from stt_lab.engines.protocols import PII
from stt_lab.errors import EngineCrashed, SttError

# What presidio would import for recognisers that are not used here: seconds, and hundreds of megabytes
UNUSED = ("transformers", "stanza", "spacy_stanza", "gliner", "spacy_huggingface_pipelines", "langextract")
LANGUAGE = "en"
WORDS = "words"  # in the metadata of a name: those that mean the same person elsewhere

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
    """Modules that cannot be imported meanwhile, unless they are already."""
    blocked = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]  # None: no such module
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]


class _Loud(logging.Handler):
    """Raises what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        raise EngineCrashed("A recogniser of personal data gave up, so the text was not let through: send it in parts.")


@contextmanager
def loud() -> Iterator[None]:
    """Warnings of presidio are errors meanwhile."""
    logger = logging.getLogger("presidio-analyzer")
    handler, level, propagate = _Loud(logging.WARNING), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        if not logger.isEnabledFor(logging.WARNING):
            raise EngineCrashed("Logging is disabled in this program, and with it what tells of a failed recogniser.")
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class Analyzer:
    """Reads one block of a text at a time."""

    def __init__(self, folder: Path) -> None:
        with without(*UNUSED), loud():
            self._engine = _engine(folder)
            self._vocabulary = frozenset(self._engine.nlp_engine.get_nlp(LANGUAGE).vocab.strings)  # before it grows
            known = set(self._engine.get_supported_entities(LANGUAGE))
        if missing := set(PII) - known:
            raise EngineCrashed(f"No recogniser is here for {', '.join(sorted(missing))}: reinstall stt_lab.")
        given_names()

    def read(self, text: str, kinds: tuple[str, ...]) -> tuple[list[tuple[str, PiiHit]], set[str]]:
        """Kinds and places of what was found, and the words of names. Raises rather than pass over a recogniser."""
        try:
            with loud():
                found = self._engine.analyze(cased(text, self._vocabulary), LANGUAGE, list(kinds))
        except SttError:
            raise
        except Exception as problem:
            kind = type(problem).__name__  # its message may quote the text
            raise EngineCrashed(
                f"A recogniser of personal data failed ({kind}): the text was not let through."
            ) from None
        words = {word for one in found for word in one.recognition_metadata.get(WORDS, ())}
        return [(one.entity_type, PiiHit(one.start, one.end, one.score)) for one in found], words


def _engine(folder: Path) -> Any:
    import spacy
    from presidio_analyzer import AnalyzerEngine, LocalRecognizer, RecognizerRegistry, RecognizerResult
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import CreditCardRecognizer, IbanRecognizer

    class Pipeline(SpacyNlpEngine):  # type: ignore[misc]
        """A pipeline that is loaded: the class itself would download one."""

        def __init__(self) -> None:
            super().__init__([{"lang_code": LANGUAGE, "model_name": str(folder)}])
            self.nlp = {LANGUAGE: spacy.load(folder, exclude=["parser", "senter"])}
            labels = self.nlp[LANGUAGE].get_pipe("ner").labels
            self.ner_model_configuration = NerModelConfiguration(labels_to_ignore=labels)  # Names looks at the tokens

    class PiiRule(LocalRecognizer):  # type: ignore[misc]
        """What one function finds."""

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
        """What the pipeline's tokens and entities tell of people."""

        def __init__(self) -> None:
            super().__init__("PERSON", lambda text: ())

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            return [self.result(hit, **{WORDS: words}) for hit, words in people(nlp_artifacts.tokens)]

    own = [PiiRule(kind, find) for kind, find in RULES.items()]
    registry = RecognizerRegistry(
        [*own, Names(), CreditCardRecognizer(), IbanRecognizer()], supported_languages=[LANGUAGE]
    )
    return AnalyzerEngine(registry, Pipeline(), supported_languages=[LANGUAGE])
