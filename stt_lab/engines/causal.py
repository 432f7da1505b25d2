"""Language models of transformers, on GPU or CPU. Greedy: the same conversation gives the same answer.

The loop over `forward` is our own: the conversation is read in blocks and each token is reported, so that a cancel
takes effect at once. The grammar is llguidance's, which llama.cpp uses too (gguf.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_lab.engines.conversation import (
    COMPACT,
    LONGEST_CONTEXT,
    answer_budget,
    checked_answer,
    first_words,
    prompt_pieces,
    require_question,
)
from stt_lab.engines.protocols import EngineSpec, Message
from stt_lab.errors import BadAnswer
from stt_lab.types import Event, Report

if TYPE_CHECKING:
    import torch
    from llguidance import LLMatcher, LLTokenizer

BLOCK = 512  # tokens of a conversation that are read at once
LIKELIEST = 20  # tokens that are looked at for the first word of an answer


class CausalModel:
    """A `LanguageModel` in a folder as written by `save_pretrained`."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.context = LONGEST_CONTEXT
        self._model: Any = None
        self._tokenizer: Any = None
        self._grammars: LLTokenizer | None = None
        self._stops: frozenset[int] = frozenset()

    def load(self) -> None:
        import torch
        from llguidance.hf import from_tokenizer
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(self.spec.threads)
        cuda = self.spec.device == "cuda"
        known = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(self.spec.folder, **known)
        model = AutoModelForCausalLM.from_pretrained(
            self.spec.folder, dtype=torch.bfloat16 if cuda else torch.float32, use_safetensors=True, **known
        )
        self._model = model.to(self.spec.device).eval()
        self.context = min(LONGEST_CONTEXT, self._model.config.max_position_embeddings)
        self._grammars = from_tokenizer(self._tokenizer)
        self._stops = _stops(self._tokenizer, self._model)

    def unload(self) -> None:
        if self._model is not None and self.spec.device == "cuda":
            import torch

            self._model = None
            torch.cuda.empty_cache()
        self._model = self._tokenizer = self._grammars = None

    def count(self, texts: tuple[str, ...], report: Report) -> tuple[int, ...]:
        self._ready()
        report(Event("reading", 0.0))
        return tuple(len(self._ids(text, special=False)) for text in texts)

    def complete(
        self, messages: tuple[Message, ...], schema: Mapping[str, Any] | None, most: int, report: Report
    ) -> str:
        said = self._said(messages)
        most = answer_budget(len(said), most, self.context)
        matcher = None if schema is None else _matcher(self._grammars, schema)
        written: list[int] = []
        for token in self._tokens(said, matcher, report):
            if token not in self._stops:
                written.append(token)
            if token in self._stops or len(written) == most:
                break
            report(Event("writing", len(written) / most))
        return checked_answer(self._tokenizer.decode(written, skip_special_tokens=True), schema)

    def likelihoods(self, messages: tuple[Message, ...], words: tuple[str, ...], report: Report) -> tuple[float, ...]:
        import torch
        from transformers import DynamicCache

        said = self._said(messages)
        answer_budget(len(said), 1, self.context)
        with torch.inference_mode():
            shares = self._read(said, DynamicCache(config=self._model.config), report).float().softmax(-1)
        values, ids = shares.topk(min(LIKELIEST, len(shares)))
        found: dict[str, float] = {}
        for value, token in zip(values.tolist(), ids.tolist(), strict=True):
            text = self._tokenizer.decode([token])
            found[text] = found.get(text, 0.0) + value
        return first_words(found, words)

    def _said(self, messages: tuple[Message, ...]) -> list[int]:
        require_question(messages)
        self._ready()
        return [
            token
            for piece in prompt_pieces(messages, self._render)
            for token in self._ids(piece.text, special=piece.special)
        ]

    def _ready(self) -> None:
        if self._model is None:
            self.load()

    def _render(self, messages: Any) -> str:
        text: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text

    def _ids(self, text: str, *, special: bool) -> list[int]:
        """Tokenize a text; words that look like special tokens are plain text unless `special` is set."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=not special)["input_ids"]
        return ids

    def _tokens(self, said: list[int], matcher: LLMatcher | None, report: Report) -> Iterator[int]:
        """Yield the answer token by token: always the most likely one that the grammar allows."""
        import torch
        from transformers import DynamicCache

        cache = DynamicCache(config=self._model.config)
        with torch.inference_mode():
            logits = self._read(said, cache, report)
            while True:
                token = int(_allowed(logits, matcher).argmax())
                if matcher is not None and not matcher.consume_token(token):
                    raise BadAnswer("The language model did not keep to the requested form. Try again.")
                yield token
                logits = self._forward([token], cache)

    def _read(self, said: list[int], cache: Any, report: Report) -> torch.Tensor:
        """Read a conversation in blocks; return the scores of its next token."""
        import torch

        logits = torch.empty(0)
        for start in range(0, len(said), BLOCK):
            report(Event("reading", start / len(said)))
            logits = self._forward(said[start : start + BLOCK], cache)
        return logits

    def _forward(self, tokens: list[int], cache: Any) -> torch.Tensor:
        """Return the scores of the next token; shape (vocabulary,)."""
        import torch

        ids = torch.tensor([tokens], device=self.spec.device)
        scores: torch.Tensor = self._model(ids, cache=cache, use_cache=True, logits_to_keep=1).logits[0, -1]
        return scores


def _stops(tokenizer: Any, model: Any) -> frozenset[int]:
    """Return the tokens that end an answer; a model may name several."""
    named = (tokenizer.eos_token_id, model.config.eos_token_id, model.generation_config.eos_token_id)
    lists = (one if isinstance(one, list) else [one] for one in named)
    return frozenset(token for tokens in lists for token in tokens if token is not None)


def _matcher(grammars: Any, schema: Mapping[str, Any]) -> LLMatcher:
    from llguidance import LLMatcher

    matcher = LLMatcher(grammars, LLMatcher.grammar_from_json_schema(json.dumps({**schema, **COMPACT})))
    if matcher.is_error():
        raise BadAnswer(f"The form of the answer cannot be enforced: {matcher.get_error().splitlines()[0]}")
    return matcher


def _allowed(logits: torch.Tensor, matcher: LLMatcher | None) -> torch.Tensor:
    """Return the scores, with tokens that the grammar forbids set to -inf."""
    if matcher is None:
        return logits
    import torch

    bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
    allowed = np.zeros(len(logits), bool)  # models may have scores for more tokens than exist
    allowed[: len(bits)] = bits[: len(logits)]
    return logits.masked_fill(~torch.from_numpy(allowed).to(logits.device), float("-inf"))
