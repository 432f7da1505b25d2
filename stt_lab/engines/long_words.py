"""Tokenize texts with endless words in linear time: spaCy's own time grows with the square of a word's length."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

LONGEST = 300  # characters without a space that spaCy tokenizes; a longer run is cut into tokens of this length
ENDLESS = re.compile(rf"\S{{{LONGEST + 1},}}")


class LongWords:
    """A tokenizer of spaCy, which it asks for everything but endless words."""

    def __init__(self, tokenizer: Any, vocab: Vocab) -> None:
        self._tokenizer, self._vocab = tokenizer, vocab

    def __call__(self, text: str) -> Doc:
        from spacy.tokens import Doc

        if not ENDLESS.search(text):
            found: Doc = self._tokenizer(text)
            return found
        words: list[str] = []
        spaces: list[bool] = []
        start = 0
        for run in ENDLESS.finditer(text):
            before = self._tokenizer(text[start : run.start()])
            cut = range(run.start(), run.end(), LONGEST)
            words += [*(token.text for token in before), *(text[at : min(at + LONGEST, run.end())] for at in cut)]
            spaces += [*(bool(token.whitespace_) for token in before), *(False for _ in cut)]
            start = run.end()
        after = self._tokenizer(text[start:])
        words += [token.text for token in after]
        spaces += [bool(token.whitespace_) for token in after]
        return Doc(self._vocab, words, spaces)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)
