"""Functions that all language model engines share: split a conversation into pieces, check an answer.

Messages are data. Only the template's own words may become special tokens: a transcript that contains "<|im_end|>" must
not end a turn.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stt_lab.engines.protocols import Message
from stt_lab.errors import BadAnswer, BadInput

LONGEST_CONTEXT = 8192  # tokens, also for models with a larger context: each token takes memory
COMPACT = {
    "x-guidance": {"whitespace_flexible": False}
}  # for llguidance: otherwise weak models write blank lines forever

Render = Callable[[Sequence[Mapping[str, str]]], str]  # messages -> prompt, by the chat template of the model


@dataclass(frozen=True)
class PromptPiece:
    """A part of a prompt."""

    text: str
    special: bool  # special tokens in it are meant


def prompt_pieces(messages: Sequence[Message], render: Render) -> tuple[PromptPiece, ...]:
    """Return the prompt in pieces, with message text separate from the template. Raises BadAnswer if the template omits
    a message."""
    marks = [secrets.token_hex(16) for _ in messages]
    rest = render([{"role": message.role, "content": mark} for message, mark in zip(messages, marks, strict=True)])
    made: list[PromptPiece] = []
    for message, mark in zip(messages, marks, strict=True):
        before, found, rest = rest.partition(mark)
        if not found:
            raise BadAnswer(
                f"The chat template of this model ignores messages of the {message.role}. Use another model."
            )
        made += [PromptPiece(before, True), PromptPiece(message.content, False)]
    return tuple(piece for piece in (*made, PromptPiece(rest, True)) if piece.text)


def require_question(messages: Sequence[Message]) -> None:
    """Raise BadInput if no user message has text."""
    if not any(message.content.strip() for message in messages if message.role == "user"):
        raise BadInput("The question is empty. Write a message.")


def answer_budget(used: int, most: int, context: int) -> int:
    """Return the tokens that an answer may have. Raises BadInput if conversation and answer exceed the context."""
    if used + most > context:
        raise BadInput(
            f"The conversation has {used} tokens and its answer up to {most}, but the context has {context}. "
            "Send less text."
        )
    return most


def first_words(likeliest: Mapping[str, float], words: Sequence[str]) -> tuple[float, ...]:
    """Return the probability of each word, from those of tokens that may begin an answer: " Yes" and "yes" are one."""
    return tuple(sum(value for token, value in likeliest.items() if token.strip().lower() == word) for word in words)


def checked_answer(text: str, schema: Mapping[str, Any] | None) -> str:
    """Return a model's answer if it matches the schema; an answer that was cut off keeps its finished items.

    Decoding enforces the schema already; this verifies it. Raises BadAnswer.
    """
    if schema is None:
        return text.strip()
    import jsonschema

    for candidate in (text, *_closed(text)):
        try:
            value = json.loads(candidate)
            jsonschema.validate(value, schema)
        except (ValueError, RecursionError, jsonschema.ValidationError):
            continue
        return json.dumps(value, ensure_ascii=False)
    raise BadAnswer("The language model did not answer in the requested form. Try again, or use another model.")


def _closed(text: str) -> tuple[str, ...]:
    """Return completions of JSON that was cut off, each ending after a finished item; longest first."""
    open_: list[str] = []  # brackets that are still open
    ends: list[str] = []
    quoted = escaped = False
    for place, char in enumerate(text):
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "[{":
            open_.append("]" if char == "[" else "}")
        elif char in "]}" and open_:
            open_.pop()
            ends.append(text[: place + 1] + "".join(reversed(open_)))
    return tuple(reversed(ends))
