"""Summarize a text with its own sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stt_lab.writing.actions import Action, actions
from stt_lab.writing.annotated_text import AnnotatedText, Sentence, parsed
from stt_lab.writing.fillers import cleaned, substance, words
from stt_lab.writing.ranking import centrality, varied
from stt_lab.writing.sections import sections
from stt_lab.writing.values import EXTRACTIVE, Statement, Style, Summary

if TYPE_CHECKING:
    from stt_lab.writing.ranking import Scores

BRIEF, BULLETS, DETAILED = 100, 160, 450  # words of a summary at most, about
SHARE = 0.3  # share of the text's words that a summary may use
WHOLE = 30  # words up to which a text is its own summary
LEAD = 0.15  # bonus for opening a text; the most central sentence has 1
MISSES = 3  # sentences that do not fit the budget before the search ends

NO_ACTIONS = "There are no action items."

Groups = Sequence[Sequence[Sentence]]  # paragraphs


def summary(annotated: AnnotatedText, style: Style) -> Summary:
    """Return sentences of the text in order, each as a statement with its span."""
    if style == "action_items":
        return listed(annotated, actions(parsed(annotated, "action items")))
    return arranged(annotated, style, _STYLES[style](annotated))


def arranged(annotated: AnnotatedText, style: Style, groups: Groups, model: str = EXTRACTIVE) -> Summary:
    """Make a summary of groups of sentences or statements."""
    write = _bullets if style == "bullet_points" else _paragraphs
    statements = tuple(
        Statement(cleaned(one.text, annotated.language), one.spans, annotated.source.segment_orders(one.spans))
        for group in groups
        for one in group
    )
    return Summary(write(annotated, groups), style, model, statements)


def listed(annotated: AnnotatedText, found: Sequence[Action], model: str = EXTRACTIVE) -> Summary:
    """Make a summary that lists action items."""
    lines = "\n".join(f"- {written(action)}" for action in found) or NO_ACTIONS
    statements = tuple(Statement(one.text, (one.span,), annotated.source.segment_orders((one.span,))) for one in found)
    return Summary(lines, "action_items", model, statements)


def written(action: Action) -> str:
    """Write an action item on one line: the owner, and the task verbatim."""
    text = " ".join(action.text.split())
    return f"{action.owner}: {text}" if action.owner else text[:1].upper() + text[1:]


def _paragraphs(annotated: AnnotatedText, groups: Groups) -> str:
    return "\n\n".join(paragraph(annotated, group) for group in groups)


def _bullets(annotated: AnnotatedText, groups: Groups) -> str:
    return "\n".join(f"- {paragraph(annotated, [sentence])}" for group in groups for sentence in group)


def paragraph(annotated: AnnotatedText, group: Iterable[Sentence]) -> str:
    """Join sentences; if several people speak, with a name where the speaker changes."""
    shown, before = [], None
    for one in group:
        text = cleaned(one.text, annotated.language)
        named = one.speaker and one.speaker != before and len(annotated.speakers) > 1
        shown.append(f"{one.speaker}: {text}" if named else text)
        before = one.speaker
    return " ".join(shown)


# Choice


def ranked(annotated: AnnotatedText) -> Scores:
    """Score sentences: centrality, plus a bonus for the opening, times their fitness to be quoted."""
    fit = np.array([substance(sentence.text) for sentence in annotated.sentences], np.float32)
    if not fit.any():  # all sentences are very short
        fit += 1
    lead = LEAD / (1 + np.arange(len(fit), dtype=np.float32))
    scores: Scores = np.maximum(fit * (centrality(annotated.vectors) + lead), 1e-6 * (fit > 0))
    return scores


def best(annotated: AnnotatedText, scores: Scores, among: range, budget: int) -> list[Sentence]:
    """Return the best sentences of a range, in order: at least one, otherwise within a budget of words."""
    chosen: list[Sentence] = []
    left, misses = budget, 0
    part = slice(among.start, among.stop)
    for place in varied(scores[part], annotated.vectors[part], len(among)):
        sentence = annotated.sentences[among.start + place]
        count = words(sentence.text)
        if not chosen or count <= left:
            chosen.append(sentence)
            left -= count
        else:
            misses += 1
        if misses >= MISSES or left <= 0:
            break
    return sorted(chosen, key=lambda sentence: sentence.number)


def _counts(annotated: AnnotatedText) -> list[int]:
    return [words(sentence.text) for sentence in annotated.sentences]


def _brief(annotated: AnnotatedText) -> Groups:
    everything = range(len(annotated.sentences))
    total = sum(_counts(annotated))
    if total <= WHOLE:
        return [list(annotated.sentences)]
    return [best(annotated, ranked(annotated), everything, min(BRIEF, max(WHOLE, int(SHARE * total))))]


def _by_sections(most: int) -> Callable[[AnnotatedText], Groups]:
    """Return a function that makes one paragraph per section, with a share of the words."""

    def make(annotated: AnnotatedText) -> Groups:
        counts = _counts(annotated)
        total = sum(counts)
        if total <= WHOLE:
            return [list(annotated.sentences)]
        scores, budget = ranked(annotated), min(most, max(WHOLE, int(SHARE * total)))
        parts = sections(annotated.vectors, counts, max(1, budget // 20))
        groups = [best(annotated, scores, part, _share(counts, part, budget, total)) for part in parts]
        return [group for group in groups if group]

    return make


def _share(counts: Sequence[int], part: range, budget: int, total: int) -> int:
    return round(budget * sum(counts[part.start : part.stop]) / total)


_STYLES: dict[str, Callable[[AnnotatedText], Groups]] = {
    "brief": _brief,
    "detailed": _by_sections(DETAILED),
    "bullet_points": _by_sections(BULLETS),
}
