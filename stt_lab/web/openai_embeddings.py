"""Translate OpenAI's embeddings API: its requests become requests to `embed`, vectors become its answers. Pure."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from stt_lab.errors import BadInput
from stt_lab.operations.text import Embeddings
from stt_lab.presentation import Body
from stt_lab.registry import Operation
from stt_lab.writing.tools import EXACT

OPENAI_MODELS = re.compile(r"text-embedding-[\w.-]+")  # OpenAI's models, which select the default one
DIMENSIONS = 384
Encoding = Literal["float", "base64"]


def _refuse_tokens(value: object) -> object:
    """Return the input. Raises BadInput for tokens of OpenAI's vocabulary, which no model here knows."""
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, int | list) for item in items):
        raise BadInput("The input contains token numbers. Send text, or a list of texts.")
    return value


@dataclass(frozen=True)
class EmbeddingsRequest:
    """A request of OpenAI's API: parameters of `embed`, and the encoding of its answer."""

    values: dict[str, Any]
    encoding: Encoding
    ignored: tuple[str, ...] = ()  # accepted parameters without effect

    def present(self, made: Embeddings, parameters: Mapping[str, Any]) -> Body:
        """Return the answer in OpenAI's format."""
        encode = _base64 if self.encoding == "base64" else list
        data = [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(made.embeddings)
        ]
        usage = {"prompt_tokens": made.tokens, "total_tokens": made.tokens}
        return Body({"object": "list", "data": data, "model": made.model, "usage": usage})


def _base64(vector: tuple[float, ...]) -> str:
    """Encode a vector as 32-bit floats, little-endian."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def embeddings(
    input: Annotated[str | list[str], BeforeValidator(_refuse_tokens), Field(description="A text, or a list of texts")],
    model: Annotated[str, Field(description="Embedding model id; OpenAI's names select the default")] = EXACT,
    encoding_format: Annotated[Encoding, Field(description="Format of the vectors")] = "float",
    dimensions: Annotated[int | None, Field(description=f"Numbers of a vector: {DIMENSIONS}")] = None,
    user: Annotated[str, Field(description="No effect")] = "",
) -> EmbeddingsRequest:
    """Turn texts into vectors, compatible with OpenAI's API."""
    if dimensions not in (None, DIMENSIONS):
        raise BadInput(
            f"The vectors have {DIMENSIONS} dimensions, not {dimensions}. Leave dimensions out, or send {DIMENSIONS}."
        )
    chosen = EXACT if OPENAI_MODELS.fullmatch(model) else model
    texts = [input] if isinstance(input, str) else input
    return EmbeddingsRequest({"texts": texts, "model": chosen}, encoding_format)


ROUTE = Operation(fn=embeddings, method="POST", path="/v1/embeddings", scope="text")
ANSWERS: dict[str, Any] = {  # for OpenAPI
    "application/json": {"schema": {"type": "object", "required": ["object", "data", "model", "usage"]}}
}
