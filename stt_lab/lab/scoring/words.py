"""Break word errors down by kind of word and by word length."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import pandas as pd

from stt_lab.lab.data.dataset import Item
from stt_lab.lab.scoring.results import Results
from stt_lab.metrics import align
from stt_lab.text import normalise, sentence_end

COLUMNS = ["words", "said", "wrong", "wrong (%)", "most often wrong"]
KINDS = NUMBER, NAME, FREQUENT, BETWEEN, ONCE = "numbers", "names", "frequent", "less frequent", "said only once"
LENGTHS = {4: "1 to 3 letters", 8: "4 to 7 letters", 1000: "8 letters and more"}  # upper bound and name
NOUNS = ("de", "lb")  # languages that capitalise every noun
HALF = 0.5  # fraction of all words that the frequent words cover
SHOWN = 3  # example words per row
Class = Callable[[str | None, str], str]  # (language, word) -> class


def by_kind(results: Results, system: str) -> Any:
    """Count wrong words among numbers, names, frequent and rare words, as classified by the references.

    Frequent words together cover half of all words of a language: mostly function words. A name is capitalised within
    a sentence and nowhere in lower case; German has none by this rule, nor do texts without capitals.
    """
    kinds = {language: _kinds(items, results) for language, items in _languages(results.items.values()).items()}
    return _table(results, system, lambda language, word: kinds[language].get(word, BETWEEN), KINDS)


def by_length(results: Results, system: str) -> Any:
    """Count wrong words by word length; numbers are separate."""

    def name(language: str | None, word: str) -> str:
        if _has_digit(word):
            return NUMBER
        return next(group for limit, group in LENGTHS.items() if len(word) < limit or limit == max(LENGTHS))

    return _table(results, system, name, [NUMBER, *LENGTHS.values()])


def _table(results: Results, system: str, name: Class, order: Sequence[str]) -> Any:
    total: Counter[str] = Counter()
    wrong: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for language, word, right in _said(results, system):
        group = name(language, word)
        total[group] += 1
        wrong[group].update([] if right else [word])
    rows = []
    for group in (group for group in order if total[group]):
        count, often = wrong[group].total(), ", ".join(word for word, _ in wrong[group].most_common(SHOWN))
        rows.append((group, total[group], count, round(100 * count / total[group], 1), often))
    return pd.DataFrame(rows, columns=COLUMNS)


def _said(results: Results, system: str) -> Iterator[tuple[str | None, str, bool]]:
    """Yield (language, word, recognised correctly) for every reference word."""
    for item, row in results.outputs(system):
        if "wer" in results.counts[row.key]:
            for step in align(item.text or "", row.text or "", results.normaliser(item)):
                if step.reference is not None:
                    yield item.language, step.reference, step.op == "equal"


def _languages(items: Iterable[Item]) -> Mapping[str | None, list[Item]]:
    found: dict[str | None, list[Item]] = defaultdict(list)
    for item in items:
        found[item.language].append(item)
    return found


def _kinds(items: Sequence[Item], results: Results) -> dict[str, str]:
    """Classify the words of one language; words not in the result are less frequent."""
    counts: Counter[str] = Counter()
    for item in items:
        counts.update(normalise(item.text or "", results.normaliser(item)).split())
    ranked = counts.most_common()
    before = [0, *accumulate(count for _, count in ranked)]
    made = {word: FREQUENT for (word, _), said in zip(ranked, before, strict=False) if said < HALF * counts.total()}
    made |= dict.fromkeys((word for word, count in ranked if count == 1), ONCE)
    made |= dict.fromkeys(_names(items, results) & counts.keys(), NAME)
    return made | dict.fromkeys((word for word in counts if _has_digit(word)), NUMBER)


def _names(items: Sequence[Item], results: Results) -> set[str]:
    """Return normalised words that are capitalised within a sentence and never in lower case."""
    capitals, plain = set(), set()
    for item in items:
        text = item.text or ""
        if item.language in NOUNS or text == text.upper():
            continue
        begins = True  # a sentence, with this word
        for word in text.split():
            letters, forms = (
                [char for char in word if char.isalpha()],
                normalise(word, results.normaliser(item)).split(),
            )
            if letters and letters[0].islower():
                plain.update(forms)
            elif len(letters) > 1 and not begins:
                capitals.update(forms)
            begins = sentence_end(word)
    return capitals - plain


def _has_digit(word: str) -> bool:
    return any(char.isdigit() for char in word)
