"""MADLAD-400, which translates between 453 languages (Kudugunta et al. 2023), on CTranslate2.

A T5 model: the first token names the target language, such as <2pt>; it detects the source language itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from stt_lab.engines.protocols import EngineSpec
from stt_lab.errors import BadInput
from stt_lab.types import Event, Report

if TYPE_CHECKING:
    from ctranslate2 import Translator
    from sentencepiece import SentencePieceProcessor

BATCH = 8  # texts at once: a few seconds on a CPU, after which a cancel is complete
POLL_S, REPORT_S = 0.01, 0.5  # seconds between checks of a running batch, and between reports
END = "</s>"
FACTOR, ROOM = 3, 32  # most output tokens: FACTOR times the input tokens, plus ROOM
SEARCH: dict[str, Any] = {"beam_size": 2}
AGAIN: dict[str, Any] = {"beam_size": 5, "no_repeat_ngram_size": 4, "repetition_penalty": 1.1}


class Madlad:
    """A `Translator` in a folder of CTranslate2 weights with the model's `sentencepiece.model`."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._translator: Translator | None = None
        self._tokens: SentencePieceProcessor | None = None
        self._adds_end = False

    def load(self) -> None:
        from ctranslate2 import Translator
        from sentencepiece import SentencePieceProcessor

        folder, cpu = self.spec.folder, self.spec.device == "cpu"
        self._tokens = SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self._adds_end = bool(config.get("add_source_eos"))
        self._translator = Translator(
            str(folder),
            device=self.spec.device,
            compute_type="int8" if cpu else "int8_float16",
            intra_threads=self.spec.threads if cpu else 0,
        )

    def unload(self) -> None:
        self._translator = self._tokens = None

    def translate(
        self, texts: tuple[str, ...], source: str | None, target: str, report: Report, again: bool = False
    ) -> tuple[str, ...]:
        if self._translator is None or self._tokens is None:
            self.load()
        assert self._tokens is not None
        report(Event("translating", 0.0))
        mark = f"<2{target.replace('-', '_')}>"
        if self._tokens.piece_to_id(mark) == self._tokens.unk_id():
            raise BadInput(f"The model {self.spec.model} cannot write {target[:20]!r}. Use another language.")
        read = [self._read(mark, text) for text in texts]
        made = [""] * len(texts)
        done = 0
        for batch in _batches(read):
            here = Event("translating", done / len(texts))
            written = self._write([read[i] for i in batch], partial(report, here), again)
            for position, tokens in zip(batch, written, strict=True):
                made[position] = self._tokens.decode(tokens).strip()
            done += len(batch)
            report(Event("translating", done / len(texts)))
        return tuple(made)

    def _read(self, mark: str, text: str) -> list[str]:
        assert self._tokens is not None
        pieces: list[str] = self._tokens.encode(f"{mark} {text}", out_type=str)
        return pieces if self._adds_end else [*pieces, END]

    def _write(self, read: list[list[str]], ask: Callable[[], None], again: bool) -> Iterator[list[str]]:
        """Yield the best translation of each text as tokens. `ask` raises Cancelled if nobody waits for them any
        more."""
        assert self._translator is not None
        longest = FACTOR * max(map(len, read)) + ROOM
        limits = {"max_input_length": 0, "max_decoding_length": longest}  # 0: inputs are not truncated
        jobs = self._translator.translate_batch(read, asynchronous=True, **limits, **(AGAIN if again else SEARCH))
        for job in jobs:
            waited = 0.0
            while not job.done():
                time.sleep(POLL_S)
                waited += POLL_S
                if waited >= REPORT_S:
                    ask()
                    waited = 0.0
            yield job.result().hypotheses[0]


def _batches(read: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Yield indices of texts of similar length, to reduce padding."""
    order = sorted(range(len(read)), key=lambda i: -len(read[i]))
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]
