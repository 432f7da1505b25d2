"""What every engine of a language model does alike: a conversation to its pieces, and an answer to what was asked for.

What messages say is data. A template's own words become tokens with the special ones among them, a message's never: a
transcript in which somebody says "<|im_end|>" must not end a turn.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stt_lab.engines.protocols import Message
from stt_lab.errors import BadAnswer, BadInput

LONGEST_CONTEXT = 8192  # tokens, of models that could hold more: what is kept of each takes memory
COMPACT = {"x-guidance": {"whitespace_flexible": False}}  # to llguidance: else weak models write blank lines for ever

Render = Callable[[Sequence[Mapping[str, str]]], str]  # messages to the text that the model reads, by its template


@dataclass(frozen=True)
class PromptPiece:
    text: str
    special: bool  # whether special tokens in it are meant


def pieces(messages: Sequence[Message], render: Render) -> tuple[PromptPiece, ...]:
    """The conversation as its model reads it, what is said apart from the template around it."""
    marks = [secrets.token_hex(16) for _ in messages]
    rest = render([{"role": message.role, "content": mark} for message, mark in zip(messages, marks, strict=True)])
    made: list[PromptPiece] = []
    for message, mark in zip(messages, marks, strict=True):
        before, found, rest = rest.partition(mark)
        if not found:
            raise BadAnswer(f"The template of this model has no place for a message of the {message.role}.")
        made += [PromptPiece(before, True), PromptPiece(message.content, False)]
    return tuple(piece for piece in (*made, PromptPiece(rest, True)) if piece.text)


def asked(messages: Sequence[Message]) -> None:
    """Raises BadInput where there is nothing to answer."""
    if not any(message.content.strip() for message in messages if message.role == "user"):
        raise BadInput("Nothing was asked: write a message.")


def room(used: int, most: int, context: int) -> int:
    """Tokens that an answer may have behind a conversation of so many. Raises BadInput when it does not fit."""
    if used + most > context:
        raise BadInput(
            f"The conversation has {used} tokens and its answer may have {most}, but this model holds {context} "
            "together: send less text at once."
        )
    return most


def answer(text: str, schema: Mapping[str, Any] | None) -> str:
    """What a model wrote, when it is what was asked for; one that was cut off keeps the items that it finished.

    Decoding enforces the schema; this makes sure. Raises BadAnswer.
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
    raise BadAnswer("The language model did not answer in the form that was asked for: try again, or use another one.")


def _closed(text: str) -> tuple[str, ...]:
    """JSON that broke off, ended behind its last finished items: the latest first."""
    open_: list[str] = []  # brackets that must still be closed
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
