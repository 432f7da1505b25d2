"""Language models in GGUF files, run by llama.cpp (xllamacpp): 4-bit weights, fast on a CPU.

The library is a server inside this process. Conversations use its Python interface; only tokenization uses HTTP, which
it opens on the loopback address in any case, here with a random key.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
from stt_lab.errors import ModelMissing, SttError, Unavailable
from stt_lab.extras import command
from stt_lab.types import Event, Report

if TYPE_CHECKING:
    import httpx
    from xllamacpp import Server

BLOCK = 128  # tokens of a conversation that are read at once; a cancel waits for one block
LIKELIEST = 20  # tokens whose probabilities are asked for
LOCAL_TIMEOUT_S = 60


class GgufModel:
    """A `LanguageModel` in a folder with one GGUF file."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.context = LONGEST_CONTEXT
        self._server: Server | None = None
        self._http: httpx.Client | None = None

    def load(self) -> None:
        # its threads spin while waiting; beside other work, that made a token take 10 times as long
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        try:
            import xllamacpp
        except ImportError:
            raise ModelMissing(f"GGUF models need llama.cpp. Run {command('llm')}, then restart the program.") from None
        import httpx

        logging.getLogger("httpx").setLevel(logging.WARNING)  # otherwise it logs a line per request
        key = secrets.token_urlsafe(32)
        try:
            self._server = xllamacpp.Server(_parameters(self.spec, key))
        except RuntimeError as problem:
            raise Unavailable(
                f"The model {self.spec.model} cannot be loaded. Run `stt-lab models doctor --verify` to check it."
            ) from problem
        headers = {"Authorization": f"Bearer {key}"}
        address = self._server.listening_address
        self._http = httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=LOCAL_TIMEOUT_S)
        meta = self._http.get("/v1/models").raise_for_status().json()["data"][0]["meta"]
        self.context = min(LONGEST_CONTEXT, meta["n_ctx_train"])

    def unload(self) -> None:
        if self._http is not None:
            self._http.close()
        self._server = self._http = None

    def count(self, texts: tuple[str, ...], report: Report) -> tuple[int, ...]:
        report(Event("reading", 0.0))
        made = []
        for number, text in enumerate(texts):
            made.append(len(self._ids(text, special=False)))
            report(Event("reading", (number + 1) / len(texts)))
        return tuple(made)

    def complete(
        self, messages: tuple[Message, ...], schema: Mapping[str, Any] | None, most: int, report: Report
    ) -> str:
        said = self._said(messages)
        wanted: dict[str, Any] = {"prompt": said, "max_tokens": answer_budget(len(said), most, self.context)}
        if schema is not None:
            wanted["json_schema"] = {**schema, **COMPACT}
        following = _Following(report, most)
        # without the cache of earlier conversations, which would change the low bits
        self._ready().handle_completions(
            wanted | {"temperature": 0, "cache_prompt": False, "stream": True, "return_progress": True}, following
        )
        return checked_answer(following.text(), schema)

    def likelihoods(self, messages: tuple[Message, ...], words: tuple[str, ...], report: Report) -> tuple[float, ...]:
        said = self._said(messages)
        wanted = {"prompt": said, "max_tokens": answer_budget(len(said), 1, self.context), "logprobs": LIKELIEST}
        following = _Following(report, 1)
        self._ready().handle_completions(
            wanted | {"temperature": 0, "cache_prompt": False, "stream": True, "return_progress": True}, following
        )
        following.text()  # raises what ended it early
        return first_words(following.first, words)

    def _said(self, messages: tuple[Message, ...]) -> list[int]:
        require_question(messages)
        return [
            token
            for piece in prompt_pieces(messages, self._render)
            for token in self._ids(piece.text, special=piece.special)
        ]

    def _ready(self) -> Server:
        if self._server is None:
            self.load()
        assert self._server is not None
        return self._server

    def _post(self, path: str, **body: Any) -> Any:
        self._ready()
        assert self._http is not None
        return self._http.post(path, json=body).raise_for_status().json()

    def _render(self, messages: Sequence[Mapping[str, str]]) -> str:
        text: str = self._post("/apply-template", messages=messages)["prompt"]
        return text

    def _ids(self, text: str, *, special: bool) -> list[int]:
        """Tokenize a text; words that look like special tokens are plain text unless `special` is set."""
        ids: list[int] = self._post("/tokenize", content=text, add_special=False, parse_special=special)["tokens"]
        return ids


def _parameters(spec: EngineSpec, key: str) -> Any:
    import xllamacpp

    made = xllamacpp.CommonParams()
    made.model.path = str(next(spec.folder.glob("*.gguf")))
    made.n_ctx, made.n_parallel = LONGEST_CONTEXT, 1  # memory for one conversation
    made.n_batch = made.n_ubatch = BLOCK
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = spec.threads
    if spec.device == "cpu":
        made.n_gpu_layers = 0
    made.fit_params, made.cache_ram_mib, made.warmup = False, 0, False
    made.offline, made.verbosity = True, -1
    # its HTTP server: only this machine, only with the key, only tokens and templates
    made.hostnames, made.port, made.api_keys, made.cors_origins = ["127.0.0.1"], 0, [key], ""
    made.ui = made.endpoint_slots = False
    return made


class _Following:
    """Callback of llama.cpp for each part of an answer. Returning True ends the work; an exception would be
    swallowed."""

    def __init__(self, report: Report, most: int) -> None:
        self._report, self._most = report, most
        self._parts: list[str] = []
        self._problem: BaseException | None = None
        self.first: dict[str, float] = {}  # probabilities of the first token, if they were asked for

    def __call__(self, part: Mapping[str, Any]) -> bool:
        try:
            self._take(part)
        except BaseException as problem:
            self._problem = problem
        return self._problem is not None

    def _take(self, part: Mapping[str, Any]) -> None:
        if "error" in part:
            raise SttError(f"The language model stopped: {str(part['error'].get('message', ''))[:200]}")
        progress = part.get("prompt_progress")
        if progress and progress["processed"] < progress["total"]:
            self._report(Event("reading", progress["processed"] / progress["total"]))
            return
        for choice in part["choices"]:
            self._parts.append(choice["text"])
            if choice.get("logprobs") and not self.first:
                likeliest = choice["logprobs"]["content"][0]["top_logprobs"]
                self.first = {one["token"]: math.exp(one["logprob"]) for one in likeliest}
        self._report(Event("writing", min(1.0, len(self._parts) / self._most)))

    def text(self) -> str:
        """Return the answer. Raises the exception that ended it early."""
        if self._problem is not None:
            raise self._problem
        return "".join(self._parts)
