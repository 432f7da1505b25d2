"""Readers that were trained on SQuAD 2: they tell where a passage answers a question, and whether it does.

Rajpurkar, Jia and Liang 2018, "Know What You Don't Know": an answer is the stretch of tokens with the best sum of a
start and an end score; the first token's own sum stands for no answer. tinyroberta-squad2 is such a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stt_lab.engines.protocols import EngineSpec
from stt_lab.types import Event, Report

if TYPE_CHECKING:
    import torch

WINDOW, SHARED = 384, 128  # tokens that are read at once, and those that the next window repeats, as in training
LONGEST_ANSWER = 30  # tokens


class SquadReader:
    """An `AnswerReader` in a folder as written by `save_pretrained`."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._model: Any = None
        self._tokenizer: Any = None

    def load(self) -> None:
        import torch
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(self.spec.threads)
        known = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(self.spec.folder, **known)
        model = AutoModelForQuestionAnswering.from_pretrained(self.spec.folder, use_safetensors=True, **known)
        self._model = model.to(self.spec.device).eval()

    def unload(self) -> None:
        self._model = self._tokenizer = None

    def answerable(self, question: str, passages: tuple[str, ...], report: Report) -> tuple[float, ...]:
        if self._model is None:
            self.load()
        made = []
        for number, passage in enumerate(passages):
            report(Event("reading", number / len(passages)))
            made.append(self._score(question, passage))
        return tuple(made)

    def _score(self, question: str, passage: str) -> float:
        """Return the best score of the windows of a passage."""
        import torch

        longest = WINDOW // 4  # of a question, so that room for the passage remains
        asked = self._tokenizer.decode(self._tokenizer(question, add_special_tokens=False)["input_ids"][:longest])
        windows = self._tokenizer(
            asked, passage, truncation="only_second", max_length=WINDOW, stride=SHARED, return_overflowing_tokens=True
        )
        scores = []
        for number, ids in enumerate(windows["input_ids"]):
            inside = [place == 1 for place in windows.sequence_ids(number)]
            with torch.inference_mode():
                found = self._model(input_ids=torch.tensor([ids], device=self.spec.device))
            starts, ends = found.start_logits[0].float(), found.end_logits[0].float()
            scores.append(_best(starts, ends, inside) - float(starts[0] + ends[0]))
        return max(scores)


def _best(starts: torch.Tensor, ends: torch.Tensor, inside: list[bool]) -> float:
    """Return the best sum of a start and an end, in order, inside the passage and not too far apart."""
    import torch

    allowed = torch.tensor(inside, device=starts.device)
    sums = starts[:, None] + ends[None, :]
    near = torch.ones_like(sums, dtype=torch.bool).triu().tril(LONGEST_ANSWER - 1)
    sums = sums.masked_fill(~(near & allowed[:, None] & allowed[None, :]), float("-inf"))
    return float(sums.max())
