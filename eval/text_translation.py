"""200 sentences of eval/text from English into Portuguese and back: how much of their wording survives, what is lost.

    python eval/text_translation.py        writes eval/results/text-translate.json

chrF is sacrebleu's, of the sentences that came back against those that were given: it says how much of the wording
survives two translations, not how good either is.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from sacrebleu.metrics import CHRF

from stt_lab.operations import translate
from stt_lab.translation.checks import faults

HERE = Path(__file__).parent
Row = dict[str, Any]


def there_and_back(sentences: Sequence[str]) -> Row:
    began = time.perf_counter()
    there = translate("pt", texts=sentences, source="en").translations
    middle = time.perf_counter()
    back = translate("en", texts=[one.translated_text for one in there], source="pt").translations
    end = time.perf_counter()
    texts = [sentences, *([one.translated_text for one in made] for made in (there, back))]
    return {
        "sentences": len(sentences),
        "models": sorted({str(one.model) for one in (*there, *back)}),
        "chrf": round(CHRF().corpus_score(texts[2], [sentences]).score, 2),
        "warnings": sum(bool(one.warnings) for one in (*there, *back)),
        "unchanged": sum(one == other for one, other in zip(texts[0], texts[1], strict=True)),
        "empty": sum(not text.strip() for made in texts[1:] for text in made),
        "faults": lost(texts),
        "words_per_second": [round(words(texts[0]) / (middle - began)), round(words(texts[1]) / (end - middle))],
    }


def words(texts: Iterable[str]) -> int:
    return sum(len(text.split()) for text in texts)


def lost(texts: Sequence[Sequence[str]]) -> Row:
    """What the checks say of each translation as a whole: too short is what a truncated one would be."""
    pairs = (pair for sources, targets in pairwise(texts) for pair in zip(sources, targets, strict=True))
    return Counter(fault.says for source, target in pairs for fault in faults(source, target))


def main() -> None:
    lines = (HERE / "text" / "translate_en.txt").read_text("utf-8").splitlines()
    made = there_and_back([line for line in lines if line.strip()])
    (HERE / "results" / "text-translate.json").write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
