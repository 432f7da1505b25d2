"""all-MiniLM-L6-v2: vectors of 384 numbers, equal to those of sentence-transformers.

Mean of the last layer over the tokens, then unit length (Reimers and Gurevych 2019, "Sentence-BERT"). The folder
determines the arithmetic: `model.onnx` has 8-bit weights and is fast, `model.safetensors` is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_lab.engines.onnx import open_network
from stt_lab.engines.protocols import EngineSpec
from stt_lab.types import Event, Report

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from stt_lab.engines.protocols import Vectors

    Tokens = NDArray[np.int64]  # (texts, tokens)

LONGEST = 256  # tokens of a text that are read, as in training
BATCH = {"cpu": 384, "cuda": 16_384}  # tokens at once, including padding; small batches stay in the cache of a CPU

Forward = Callable[["Tokens", "Tokens"], "NDArray[np.float32]"]  # ids and mask -> (texts, tokens, dimensions)


class MiniLm:
    """An `Embedder`."""

    dimensions = 384

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._tokenizer: Tokenizer | None = None
        self._forward: Forward | None = None
        self._side_by_side = 1  # batches

    def load(self) -> None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.spec.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(LONGEST)
        quantised = (self.spec.folder / "model.onnx").is_file()
        self._forward = _onnx(self.spec) if quantised else _torch(self.spec)
        self._side_by_side = self.spec.threads if quantised else 1
        self._tokenizer = tokenizer

    def unload(self) -> None:
        self._tokenizer = self._forward = None

    def embed(self, texts: tuple[str, ...], report: Report) -> Vectors:
        return self.embed_counted(texts, report)[0]

    def embed_counted(self, texts: tuple[str, ...], report: Report) -> tuple[Vectors, int]:
        if self._tokenizer is None or self._forward is None:
            self.load()
        assert self._tokenizer is not None
        assert self._forward is not None
        report(Event("reading", 0.0))
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        made = np.zeros((len(texts), self.dimensions), np.float32)
        done = 0
        batches = list(_batches(ids, BATCH[self.spec.device]))
        pool = ThreadPoolExecutor(self._side_by_side)
        try:
            read = pool.map(partial(_pooled, self._forward), ([ids[i] for i in batch] for batch in batches))
            for batch, vectors in zip(batches, read, strict=True):
                made[batch] = vectors
                done += len(batch)
                report(Event("reading", done / len(texts)))
        finally:
            pool.shutdown(cancel_futures=True)  # if `report` raised, no further batch starts
        return made, sum(map(len, ids))


def _batches(ids: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
    """Yield indices of texts of similar length, to reduce padding."""
    batch: list[int] = []
    for position in sorted(range(len(ids)), key=lambda i: -len(ids[i])):
        if batch and len(ids[batch[0]]) * (len(batch) + 1) > most:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def _pooled(forward: Forward, ids: Sequence[Sequence[int]]) -> Vectors:
    longest = max(map(len, ids))
    tokens = np.zeros((len(ids), longest), np.int64)
    mask = np.zeros_like(tokens)
    for row, known in enumerate(ids):
        tokens[row, : len(known)], mask[row, : len(known)] = known, 1
    hidden = forward(tokens, mask)
    weights = mask[..., None].astype(np.float32)
    mean = (hidden * weights).sum(1) / weights.sum(1)  # every text has two special tokens
    unit: Vectors = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return unit


def _onnx(spec: EngineSpec) -> Forward:
    session = open_network(spec.folder / "model.onnx", keep=True)  # one thread for a batch: dividing costs a fifth

    def forward(tokens: Tokens, mask: Tokens) -> Any:
        inputs = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
        return session.run(None, inputs)[0]

    return forward


def _torch(spec: EngineSpec) -> Forward:
    import torch
    from transformers import BertModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # otherwise it warns of the position ids in older checkpoints
    logging.disable_progress_bar()
    torch.set_num_threads(spec.threads)
    model = BertModel.from_pretrained(spec.folder, add_pooling_layer=False, local_files_only=True)
    model.to(spec.device).eval()

    def forward(tokens: Tokens, mask: Tokens) -> Any:
        with torch.inference_mode():
            inputs = {
                "input_ids": torch.from_numpy(tokens).to(spec.device),
                "attention_mask": torch.from_numpy(mask).to(spec.device),
            }
            return model(**inputs).last_hidden_state.float().cpu().numpy()

    return forward
