"""Personal data in the conversations of eval/text: how much is found, and how much that is none.

    python eval/text_pii.py        writes eval/results/text-pii.json

An item is found when entities of its type hold all of its letters and digits, and covered when entities of any type do:
then nothing of it is left in what was redacted. An entity is false when it touches no item at all. Rules were tuned on
the odd conversations (the first, the third ...). `strangers` have names that are in no list, made of syllables;
`lower` is everything without a single capital.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import PII
from stt_lab.privacy.redaction import find
from stt_lab.settings import get_settings
from stt_lab.types import Entity, silent
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools

HERE = Path(__file__).parent
NAMES = {"IBAN": "IBAN_CODE"}  # types of the set that presidio calls otherwise
Row = dict[str, Any]


def places(text: str, start: int, end: int) -> set[int]:
    """Letters and digits of a stretch."""
    return {place for place in range(start, end) if text[place].isalnum()}


def score(row: Row, text: str, found: Sequence[Entity]) -> dict[str, Counter[str]]:
    """Counts by type, of one conversation."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in PII}
    held = {kind: set[int]() for kind in PII}
    for one in found:
        held[one.label] |= places(text, one.start, one.end)
    everything = set().union(*held.values())
    items = [(NAMES.get(item["type"], item["type"]), places(text, item["start"], item["end"])) for item in row["pii"]]
    for kind, item in items:
        counts[kind].update(planted=1, found=item <= held[kind], covered=item <= everything)
    planted = set().union(*(item for _, item in items))
    for one in found:
        counts[one.label].update(entities=1, false=not places(text, one.start, one.end) & planted)
    for decoy in row["pii_decoys"]:
        kind = NAMES.get(decoy["type"], decoy["type"])
        taken = places(text, decoy["start"], decoy["end"]) & held[kind]
        counts[kind].update(decoys=1, decoys_taken=bool(taken))
    return counts


# Other names


def stranger(name: str) -> str:
    """A name that nobody has, always the same for a word."""
    draw = random.Random(name)
    start = draw.choice(("Br", "D", "F", "Gr", "K", "L", "M", "N", "Pr", "R", "S", "T", "V", "Z"))
    return start + "".join(
        draw.choice("aeiou") + draw.choice(("b", "d", "l", "m", "n", "rv", "st", "v", "x")) for _ in "12"
    )


def renamed(row: Row) -> Row:
    """A conversation with other names; its segments become one."""
    text = " ".join(segment["text"] for segment in row["segments"])
    people = [item for item in row["pii"] if item["type"] == "PERSON"]
    words = {word for item in people for word in re.findall(r"[^\W\d_]+", item["text"]) if word[0].isupper()}
    made, ends, at = "", [0] * (len(text) + 1), 0
    for match in re.finditer(r"[^\W\d_]+|[\W\d_]", text):
        made += stranger(match[0]) if match[0] in words else match[0]
        ends[match.start() + 1 : match.end() + 1] = [len(made)] * len(match[0])
        at = match.end()
    assert at == len(text)

    def moved(item: Row) -> Row:
        return item | {"start": ends[item["start"]], "end": ends[item["end"]]}

    lists = {name: [moved(item) for item in row[name]] for name in ("pii", "pii_decoys")}
    return row | {"segments": [{"text": made}]} | lists


def measure(tools: Tools, rows: Sequence[Row], change: Callable[[str], str] = str) -> Row:
    """Rates over conversations: sums over sums."""
    total: dict[str, Counter[str]] = {kind: Counter() for kind in PII}
    words, seconds = 0, 0.0
    for row in rows:
        text = change(" ".join(segment["text"] for segment in row["segments"]))
        began = time.perf_counter()
        found = find(tools, SourceText(text, "en"))
        seconds, words = seconds + time.perf_counter() - began, words + len(text.split())
        for kind, counts in score(row, text, found).items():
            total[kind] += counts
    return {
        **rates(sum(total.values(), Counter())),
        "types": {kind: rates(counts) for kind, counts in total.items()},
        "words": words,
        "seconds": round(seconds, 2),
    }


def rates(counts: Counter[str]) -> Row:
    made: Row = {name: counts[name] for name in ("planted", "found", "covered", "entities", "false")}
    made |= {name: counts[name] for name in ("decoys", "decoys_taken")}
    if counts["planted"]:
        made["recall"] = round(counts["found"] / counts["planted"], 4)
    if counts["entities"]:
        made["precision"] = round(1 - counts["false"] / counts["entities"], 4)
    return made


def main() -> None:
    settings = get_settings().model_copy(update={"engine_host": "inprocess"})
    tools = Tools(Pool(settings), silent)
    rows = [json.loads(line) for line in (HERE / "text" / "transcripts.jsonl").read_text("utf-8").splitlines()]
    find(tools, SourceText("Ada.", "en"))  # loads
    made = {
        "all": measure(tools, rows),
        "tuned on": measure(tools, rows[0::2]),
        "others": measure(tools, rows[1::2]),
        "strangers": measure(tools, [renamed(row) for row in rows]),
        "lower": measure(tools, rows, str.lower),
    }
    (HERE / "results" / "text-pii.json").write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    for name, part in made.items():
        print(f"{name}: recall {part['recall']:.3f}, precision {part['precision']:.3f}, {part['seconds']} s")


if __name__ == "__main__":
    main()
