"""Read a text with a language model: split it into chunks, run tasks on them, keep only supported statements."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import and_
from typing import Any, TypeVar

from stt_lab.errors import BadAnswer
from stt_lab.types import Event, Report
from stt_lab.weights.catalog import Model
from stt_lab.writing import prompts
from stt_lab.writing.annotated_text import AnnotatedText, GroundedStatement, Sentence
from stt_lab.writing.fillers import words
from stt_lab.writing.grounding import NEAR, grounded, plain
from stt_lab.writing.prompts import LlmTask, PromptChunk, conversation, shown
from stt_lab.writing.sections import sections

LINE = 6  # tokens of a line's number and line break, about
MARGIN = 64  # most tokens that a chat template adds
CHUNK = 3000  # tokens of a chunk; with more, models attend less and read more slowly
LEAST = 200  # tokens of a chunk, at least
MOST_STATEMENTS = 8  # per chunk

log = logging.getLogger(__name__)

Fields = Mapping[str, Any]  # of one item of an answer
T = TypeVar("T")


class LlmReader:
    """Reads one text for one request. `dropped` counts unsupported statements, `failed` chunks without an answer."""

    def __init__(self, annotated: AnnotatedText, model: Model, instruction: str = "") -> None:
        self.annotated, self.tools, self.model, self.instruction = annotated, annotated.tools, model, instruction
        self.kept = self.dropped = self.failed = 0
        self._done = 0.0  # progress, 0 to 1

    # Results

    @property
    def failing(self) -> bool:
        """Return whether the model answered without any supported statement."""
        return self.dropped + self.failed > 0 and self.kept == 0

    def warnings(self) -> tuple[str, ...]:
        """Return warnings for the user about what was left out."""
        made = []
        if self.dropped:
            made.append(
                f"{self.dropped} of {self.dropped + self.kept} statements of the language model were dropped, because "
                "the passages that they cite do not support them."
            )
        if self.failed:
            parts = "one part" if self.failed == 1 else f"{self.failed} parts"
            made.append(f"The language model gave no answer for {parts} of the text.")
        return tuple(made)

    # Statements

    def reports(self, most: int = MOST_STATEMENTS) -> list[list[GroundedStatement]]:
        """Return the statements about each chunk of the text."""
        task = prompts.statements(min(most, MOST_STATEMENTS))
        return [self.statements(*found) for found in self.answers(task, self.chunks(task), share=0.8)]

    def brief(self, most: int) -> list[GroundedStatement]:
        """Return the most important statements about the text, at most `most`."""
        return self.shortened([one for part in self.reports(most) for one in part], most)

    def shortened(self, statements: list[GroundedStatement], most: int) -> list[GroundedStatement]:
        """Condense statements with the model to at most `most`; if it fails, choose some evenly."""
        task = prompts.shortened(most)
        while len(statements) > most:
            chunks = self.chunks_of(statements, task)
            fewer = [one for found in self.answers(task, chunks) for one in self.statements(*found)]
            if not fewer or len(fewer) >= len(statements):
                return spread(statements, most)
            statements = fewer
        return statements

    def statements(self, chunk: PromptChunk, answer: Fields) -> list[GroundedStatement]:
        return [one for one, _ in self.items(chunk, answer)]

    def items(
        self, chunk: PromptChunk, answer: Fields, name: str = "text", near: float = NEAR
    ) -> list[tuple[GroundedStatement, Fields]]:
        """Return the supported items of an answer, none twice. `name` is the field that states something, `near` the
        least cosine."""
        given = answer["items"]
        statements = [GroundedStatement.about(plain(fields[name]), chunk.cited(fields["lines"])) for fields in given]
        first = {one.text.casefold(): place for place, one in reversed(list(enumerate(statements)))}
        new = (first[one.text.casefold()] == place for place, one in enumerate(statements))
        right = list(map(and_, grounded(self.tools, statements, self.annotated.language, near), new))
        return [
            (one, fields) for one, fields, good in zip(statements, given, self.count_kept(right), strict=True) if good
        ]

    def count_kept(self, right: Sequence[bool]) -> Sequence[bool]:
        """Count kept and dropped statements, for the warnings; return the argument."""
        self.kept += sum(right)
        self.dropped += len(right) - sum(right)
        return right

    # Chunks

    def answers(
        self, task: LlmTask, chunks: Sequence[PromptChunk], share: float = 0.5
    ) -> Iterator[tuple[PromptChunk, Any]]:
        """Yield the answer to a task for each chunk that has one. `share`: part of the remaining progress that this
        takes."""
        step = share * (1 - self._done) / max(1, len(chunks))
        for chunk in chunks:
            report = part_of(self.tools.report, self._done, step)
            self._done += step
            messages = conversation(task, chunk, self.annotated.language, self.instruction)
            form, most = task.form and task.form(len(chunk.lines)), self._most(task)
            try:
                yield chunk, self.tools.complete(self.model, messages, form, most, report)
            except BadAnswer as problem:
                log.info("no answer for a chunk: %s", problem)
                self.failed += 1

    def likelihoods(self, task: LlmTask, chunk: PromptChunk, words: tuple[str, ...]) -> tuple[float, ...]:
        """Return the probability that the answer to a task begins with each word; () if that is not known."""
        messages = conversation(task, chunk, self.annotated.language)
        return self.tools.likelihoods(self.model, messages, words, self.tools.report)

    def chunks(self, task: LlmTask) -> list[PromptChunk]:
        """Split the whole text: one chunk if it fits, otherwise as few as hold its sections."""
        return self.chunks_of(self.annotated.sentences, task, by_section=True)

    def chunks_of(self, lines: Sequence[Sentence], task: LlmTask, *, by_section: bool = False) -> list[PromptChunk]:
        """Split lines into chunks, in order."""
        tokens = [count + LINE for count in self.tools.count(self.model, map(shown, lines))]
        budget = self._budget(task)
        parts: Sequence[range] = (range(len(lines)),)
        if by_section and sum(tokens) > budget:
            parts = sections(self.annotated.vectors, [words(one.text) for one in lines])
        return list(split_into_chunks(lines, tokens, parts, budget))

    def _budget(self, task: LlmTask) -> int:
        """Return the tokens available for a chunk, beside the prompt and the answer."""
        empty = conversation(task, PromptChunk(()), self.annotated.language, self.instruction)
        used = sum(self.tools.count(self.model, (message.content for message in empty)))
        return max(LEAST, min(CHUNK, self.model.context - used - MARGIN - self._most(task)))

    def _most(self, task: LlmTask) -> int:
        """Return the largest answer in tokens; an answer that is cut off keeps its finished items."""
        return min(task.most, self.model.context // 4)


def spread(those: Sequence[T], most: int) -> list[T]:
    """Return at most `most` elements, evenly spaced."""
    return [those[place * len(those) // most] for place in range(most)] if len(those) > most else list(those)


def split_into_chunks(
    lines: Sequence[Sentence], tokens: Sequence[int], parts: Sequence[range], budget: int
) -> Iterator[PromptChunk]:
    """Yield as few chunks as hold the lines, cut at the end of a part, or inside a part that is longer than a chunk.

    A line longer than a chunk is truncated.
    """
    taken: list[Sentence] = []
    left = budget
    for part in parts:
        whole = sum(tokens[place] for place in part) <= left
        for number, place in enumerate(part):
            cost = min(tokens[place], budget)
            if taken and (cost > left or (number == 0 and not whole)):
                yield PromptChunk(tuple(taken))
                taken, left = [], budget
            taken.append(_cut(lines[place], budget / tokens[place]))
            left -= cost
    if taken:
        yield PromptChunk(tuple(taken))


def _cut(line: Sentence, share: float) -> Sentence:
    """Truncate a line that would take `1 / share` chunks."""
    return line if share >= 1 else replace(line, text=f"{line.text[: int(len(line.text) * share * 0.9)]} …")


def part_of(report: Report, done: float, share: float) -> Report:
    """Return a progress report for one of several steps: half of a step is reading, half is writing."""

    def report_step(event: Event) -> None:
        if event.stage in ("reading", "writing"):
            half = event.fraction / 2 + (event.stage == "writing") / 2
            event = Event("writing", min(1.0, done + share * half))
        report(event)

    return report_step
