"""Tokenize texts with endless words in linear time: spaCy's own time grows with the square of a word's length."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

LONGEST = 300  # characters without a space that spaCy tokenizes; a longer run is cut into tokens of this length
ENDLESS = re.compile(rf"(\S{{{LONGEST + 1},}})")


class LongWords:
    """A tokenizer of spaCy, which it asks for everything but endless words."""

    def __init__(self, tokenizer: Any, vocab: Vocab) -> None:
        self._tokenizer, self._vocab = tokenizer, vocab

    def __call__(self, text: str) -> Doc:
        from spacy.tokens import Doc

        pieces = ENDLESS.split(text)  # every second one is an endless word
        if len(pieces) == 1:
            return self._tokenizer(text)
        parts = (self._cut(piece) if number % 2 else self._tokenizer(piece) for number, piece in enumerate(pieces))
        return Doc.from_docs([part for part in parts if len(part)], ensure_whitespace=False)

    def _cut(self, run: str) -> Doc:
        from spacy.tokens import Doc

        words = [run[at : at + LONGEST] for at in range(0, len(run), LONGEST)]
        return Doc(self._vocab, words, [False] * len(words))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)
