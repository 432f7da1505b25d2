"""Where sentences end: traps in eight languages and the sentences of eval/text, by us and by libraries.

    python eval/text_sentences.py [--show]      writes eval/results/text-sentences.json

A trap is right if it is cut exactly as written. The traps are divided by the SHA-256 of their lines, before any rule
was written: rules may be made on the first half (`--show` lists its wrong ones), the other half only counts.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from stt_lab.text.sentences import sentences

HERE = Path(__file__).parent
Splitter = Callable[[str, str], list[str]]
HARD = {  # up to a megabyte that is hard to search
    "A.": "A." * 300_000,
    "A. ": "A. " * 300_000,
    "spaces": "a" + " " * 900_000 + ".",
    "marks": "." * 900_000,
    "letters": "a" * 900_000,
    "numbers": "1.2" * 300_000,
    "quotes": '"' * 900_000,
    "brackets": "(" * 900_000,
    "newlines": "\n" * 900_000 + ".",
}
LIMIT_S = 3.0  # after which no longer part of a hard string is tried


def traps() -> tuple[list[tuple[str, list[str]]], list[tuple[str, list[str]]]]:
    """Return (language, sentences) of the half for rules, and of the half set aside."""
    lines = (HERE / "text" / "sentences.txt").read_text("utf-8").splitlines()
    rows = sorted(
        (line for line in lines if not line.startswith("#")), key=lambda line: hashlib.sha256(line.encode()).digest()
    )
    made = [(language, text.split(" | ")) for language, _, text in (row.partition("\t") for row in rows)]
    return made[: len(made) // 2], made[len(made) // 2 :]


def ours(text: str, language: str) -> list[str]:
    return [span.of(text) for span in sentences(text, language)]


@cache
def _pysbd(language: str) -> Any:
    import pysbd

    return pysbd.Segmenter(language="en" if language == "pt" else language, clean=False)


def by_pysbd(text: str, language: str) -> list[str]:
    return _pysbd(language).segment(text)


def by_syntok(text: str, language: str) -> list[str]:
    from syntok import segmenter

    return [
        text[sentence[0].offset : sentence[-1].offset + len(sentence[-1].value)]
        for paragraph in segmenter.process(text)
        for sentence in paragraph
    ]


def by_sentencex(text: str, language: str) -> list[str]:
    import sentencex

    return list(sentencex.segment(language, text))


@cache
def _splitter(language: str) -> Any:
    from sentence_splitter import SentenceSplitter

    return SentenceSplitter(language=language)


def by_sentence_splitter(text: str, language: str) -> list[str]:
    return _splitter(language).split(text)


def by_blingfire(text: str, language: str) -> list[str]:
    import blingfire

    return blingfire.text_to_sentences(text).split("\n")


@cache
def _sentencesplit(language: str) -> Any:
    import sentencesplit

    return sentencesplit.Segmenter(language="en" if language == "pt" else language, clean=False)


def by_sentencesplit(text: str, language: str) -> list[str]:
    return [str(part) for part in _sentencesplit(language).segment(text)]


@cache
def _yasbd(language: str) -> Any:
    from yasbd import BoundaryDetector

    return BoundaryDetector(lang=language)


def by_yasbd(text: str, language: str) -> list[str]:
    return list(_yasbd(language).segment(text))


SPLITTERS: dict[str, tuple[str, Splitter]] = {  # name: its module
    "ours": ("stt_lab", ours),
    "pysbd": ("pysbd", by_pysbd),
    "syntok": ("syntok", by_syntok),
    "sentencex": ("sentencex", by_sentencex),
    "sentence-splitter": ("sentence_splitter", by_sentence_splitter),
    "blingfire": ("blingfire", by_blingfire),
    "sentencesplit": ("sentencesplit", by_sentencesplit),
    "yasbd-lib": ("yasbd", by_yasbd),
}


def right(split: Splitter, rows: list[tuple[str, list[str]]], show: bool = False) -> float:
    count = 0
    for language, wanted in rows:
        found = [part.strip() for part in split(" ".join(wanted), language) if part.strip()]
        count += found == wanted
        if show and found != wanted:
            print(language, " | ".join(found), sep="\t")
    return round(count / len(rows), 4)


def boundaries(split: Splitter, wanted: list[str]) -> float:
    """F1 of the ends of the sentences of translate_en.txt, joined by spaces, ten a text."""
    hits = found_all = wanted_all = 0
    for at in range(0, len(wanted), 10):
        some = wanted[at : at + 10]
        found, gold = (_ends([part.strip() for part in parts]) for parts in (split(" ".join(some), "en"), some))
        hits, found_all, wanted_all = hits + len(found & gold), found_all + len(found), wanted_all + len(gold)
    return round(2 * hits / (found_all + wanted_all), 4)


def _ends(parts: list[str]) -> set[int]:
    """Ends, counted in characters that are no white space."""
    ends, now = set(), 0
    for part in parts:
        now += sum(not char.isspace() for char in part)
        ends.add(now)
    return ends


def speed(split: Splitter, text: str) -> float:
    """Characters a second, in thousands."""
    began = time.perf_counter()
    split(text, "en")
    return round(len(text) / (time.perf_counter() - began) / 1000, 1)


def hard(split: Splitter, text: str) -> str:
    """Seconds for the whole text, or for the first part of it that takes too long."""
    for share in (256, 64, 16, 4, 2, 1):
        part = text[: len(text) // share]
        began = time.perf_counter()
        try:
            split(part, "en")
        except Exception as problem:
            return f"{type(problem).__name__} at {len(part):,}"
        seconds = time.perf_counter() - began
        if seconds > LIMIT_S:
            break
    return f"{seconds:.2f} s for {len(part):,} characters"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="list the wrong traps of ours, of the half for rules")
    parser.add_argument("--only", default="", help="splitters, by commas")
    options = parser.parse_args()
    seen, unseen = traps()
    english = (HERE / "text" / "translate_en.txt").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in (HERE / "text" / "transcripts.jsonl").read_text("utf-8").splitlines()]
    talks = "\n\n".join(" ".join(one["text"] for one in row["segments"]) for row in rows)
    path = HERE / "results" / "text-sentences.json"
    made: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for name, (module, split) in SPLITTERS.items():
        if (options.only and name not in options.only.split(",")) or importlib.util.find_spec(module) is None:
            continue
        made[name] = {
            "seen": right(split, seen, options.show and name == "ours"),
            "unseen": right(split, unseen),
            "languages": {
                code: right(split, [row for row in (*seen, *unseen) if row[0] == code])
                for code in sorted({row[0] for row in seen})
            },
            "translate_en_f1": boundaries(split, english),
            "thousand_characters_a_second": speed(split, talks),
            "hard": {kind: hard(split, text) for kind, text in HARD.items()},
        }
        print(name, json.dumps(made[name], indent=1, ensure_ascii=False), flush=True)
    path.write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
