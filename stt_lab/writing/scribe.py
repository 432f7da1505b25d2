"""A language model at work on a text: the text on sheets, tasks, and of the answers only what their lines bear out."""

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
from stt_lab.writing.fillers import words
from stt_lab.writing.grounding import NEAR, borne_out, plain
from stt_lab.writing.prompts import Sheet, Task, conversation, shown
from stt_lab.writing.reading import Reading, Sentence, Told
from stt_lab.writing.sections import sections

LINE = 6  # tokens of a line's number and break, about
MARGIN = 64  # tokens that a template adds to a conversation, at most
SHEET = 3000  # tokens of one; models attend to less with more, and read slower
LEAST = 200  # tokens of one
SHEETFUL = 8  # statements about one sheet, at most

log = logging.getLogger(__name__)

Fields = Mapping[str, Any]  # of an item of an answer
T = TypeVar("T")


class Scribe:
    """For one text and one request. `dropped` counts what was not borne out, `failed` sheets without an answer."""

    def __init__(self, reading: Reading, model: Model, wish: str = "") -> None:
        self.reading, self.tools, self.model, self.wish = reading, reading.tools, model, wish
        self.kept = self.dropped = self.failed = 0
        self._done = 0.0  # of the whole work, as it is told

    # What was written

    @property
    def failing(self) -> bool:
        """Whether it wrote something, and nothing of it holds."""
        return self.dropped + self.failed > 0 and self.kept == 0

    def warnings(self) -> tuple[str, ...]:
        """What was left out, for whoever reads the answer."""
        made = []
        if self.dropped:
            made.append(
                f"{self.dropped} of {self.dropped + self.kept} statements of the language model were left out: what "
                "they rest on does not bear them out."
            )
        if self.failed:
            parts = "a part" if self.failed == 1 else f"{self.failed} parts"
            made.append(f"The language model had no answer to {parts} of the text.")
        return tuple(made)

    # Statements

    def reports(self, most: int = SHEETFUL) -> list[list[Told]]:
        """What each part of the text says, a part for a sheet."""
        task = prompts.statements(min(most, SHEETFUL))
        return [self.statements(*found) for found in self.each(task, self.sheets(task), share=0.8)]

    def brief(self, most: int) -> list[Told]:
        """The most important that the text says, in so many statements at most."""
        return self.shortened([one for part in self.reports(most) for one in part], most)

    def shortened(self, told: list[Told], most: int) -> list[Told]:
        """The most important of many statements, put together by the model; as they are where it fails at that."""
        task = prompts.shortened(most)
        while len(told) > most:
            pages = self.pages(told, task)
            fewer = [one for found in self.each(task, pages) for one in self.statements(*found)]
            if not fewer or len(fewer) >= len(told):
                return spread(told, most)
            told = fewer
        return told

    def statements(self, sheet: Sheet, answer: Fields) -> list[Told]:
        return [told for told, _ in self.items(sheet, answer)]

    def items(self, sheet: Sheet, answer: Fields, name: str = "text", near: float = NEAR) -> list[tuple[Told, Fields]]:
        """The items of an answer that their lines bear out, none twice; `name` is the field that says something."""
        given = answer["items"]
        told = [Told.about(plain(fields[name]), sheet.cited(fields["lines"])) for fields in given]
        first = {one.text.casefold(): place for place, one in reversed(list(enumerate(told)))}
        new = (first[one.text.casefold()] == place for place, one in enumerate(told))
        right = list(map(and_, borne_out(self.tools, told, self.reading.language, near), new))
        return [(one, fields) for one, fields, good in zip(told, given, self.counted(right), strict=True) if good]

    def counted(self, right: Sequence[bool]) -> Sequence[bool]:
        """What holds, remembered for the warnings."""
        self.kept += sum(right)
        self.dropped += len(right) - sum(right)
        return right

    # Sheets

    def each(self, task: Task, sheets: Sequence[Sheet], share: float = 0.5) -> Iterator[tuple[Sheet, Any]]:
        """Answers to a task, sheet by sheet; where there is none, none. `share`: of all work that is still to do."""
        step = share * (1 - self._done) / max(1, len(sheets))
        for sheet in sheets:
            report = part_of(self.tools.report, self._done, step)
            self._done += step
            messages = conversation(task, sheet, self.reading.language, self.wish)
            form, most = task.form and task.form(len(sheet.lines)), self._most(task)
            try:
                yield sheet, self.tools.complete(self.model, messages, form, most, report)
            except BadAnswer as problem:
                log.info("A sheet has no answer: %s", problem)
                self.failed += 1

    def sheets(self, task: Task) -> list[Sheet]:
        """The whole text: on one sheet, or by sections on as few as hold them."""
        return self.pages(self.reading.sentences, task, by_section=True)

    def pages(self, lines: Sequence[Sentence], task: Task, *, by_section: bool = False) -> list[Sheet]:
        """Lines in their order."""
        tokens = [count + LINE for count in self.tools.count(self.model, map(shown, lines))]
        budget = self._budget(task)
        parts: Sequence[range] = (range(len(lines)),)
        if by_section and sum(tokens) > budget:
            parts = sections(self.reading.vectors, [words(one.text) for one in lines])
        return list(paged(lines, tokens, parts, budget))

    def _budget(self, task: Task) -> int:
        """Tokens of a sheet, beside everything else."""
        empty = conversation(task, Sheet(()), self.reading.language, self.wish)
        used = sum(self.tools.count(self.model, (message.content for message in empty)))
        return max(LEAST, min(SHEET, self.model.context - used - MARGIN - self._most(task)))

    def _most(self, task: Task) -> int:
        """Tokens of an answer; one that is cut off keeps the items that it finished."""
        return min(task.most, self.model.context // 4)


def spread(those: Sequence[T], most: int) -> list[T]:
    """At most so many, from all over."""
    return [those[place * len(those) // most] for place in range(most)] if len(those) > most else list(those)


def paged(lines: Sequence[Sentence], tokens: Sequence[int], parts: Sequence[range], budget: int) -> Iterator[Sheet]:
    """The lines on as few sheets as hold them, cut where one of `parts` ends, or in the middle of one that is longer.

    A line that alone is longer than a sheet is shown as far as the sheet goes.
    """
    taken: list[Sentence] = []
    left = budget
    for part in parts:
        whole = sum(tokens[place] for place in part) <= left
        for number, place in enumerate(part):
            cost = min(tokens[place], budget)
            if taken and (cost > left or (number == 0 and not whole)):
                yield Sheet(tuple(taken))
                taken, left = [], budget
            taken.append(_cut(lines[place], budget / tokens[place]))
            left -= cost
    if taken:
        yield Sheet(tuple(taken))


def _cut(line: Sentence, share: float) -> Sentence:
    """As much of a line as a sheet holds, of which it would take `1 / share`."""
    return line if share >= 1 else replace(line, text=f"{line.text[: int(len(line.text) * share * 0.9)]} …")


def part_of(report: Report, done: float, share: float) -> Report:
    """A report of one of several steps: half of a step is reading, half is writing."""

    def tell(event: Event) -> None:
        if event.stage in ("reading", "writing"):
            half = event.fraction / 2 + (event.stage == "writing") / 2
            event = Event("writing", min(1.0, done + share * half))
        report(event)

    return tell
