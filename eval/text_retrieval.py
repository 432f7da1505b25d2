"""What chat and search by meaning find in the transcripts of eval/text, what they refuse, and how long they take.

    python eval/text_retrieval.py                  some minutes; needs MiniLM and the English parser
    python eval/text_retrieval.py --model MODEL    what a language model answers: a quarter of an hour to an hour
    python eval/text_retrieval.py --library 1000   transcripts of 30 passages that a search by meaning goes through

A hit is a passage (of some 100 words) that has a segment with the answer. `words` is BM25 alone, `meaning` MiniLM
alone, `ranks` both by reciprocal rank fusion, `sum` both as the product adds them within a transcript. Constants were
chosen on questions with odd numbers; both halves are shown.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stt_lab.engines.pool import Pool
from stt_lab.library import Library
from stt_lab.library.passages import IndexedPassages
from stt_lab.recall.chat import WORDS, question
from stt_lab.recall.indexing import vectors_of
from stt_lab.recall.search import by_meaning
from stt_lab.settings import get_settings
from stt_lab.store.database import Database
from stt_lab.store.models import ADMINISTRATOR_ID
from stt_lab.types import Segment, Transcript, silent
from stt_lab.writing.answerability import signs
from stt_lab.writing.passages import Passage, apart, by_words, fused, ranked, said
from stt_lab.writing.quotes import places
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools
from stt_lab.writing.writer import writer

HERE = Path(__file__).parent
RATE = 150 * 60  # words that are said in an hour
ROUNDS = 20
PASSAGES, WIDTH = 30, 384  # of a transcript of half an hour, of a vector
QUERIES = ("who repaired the organ", "pain at night", "how much does the roof cost", "zebra")


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / "text" / name).read_text("utf-8").splitlines()]


def transcript(row: dict[str, Any]) -> Transcript:
    segments = tuple(Segment(one["start"], one["end"], one["text"], (), one["speaker"]) for one in row["segments"])
    return Transcript("en", segments[-1].end, segments, tuple(dict.fromkeys(one.speaker or "" for one in segments)))


# What is found


def rankings(script: SourceText, index: IndexedPassages, tools: Tools, asked: str) -> dict[str, list[tuple[int, int]]]:
    """Passages by each way to rank them, best first, without those that overlap with better ones."""
    passages = [Passage(*place) for place in index.places]
    near = [float(score) for score in index.vectors @ tools.embed([asked])[0]]
    words = by_words(asked, [said(script, passage) for passage in passages])
    orders = {
        "words": ranked(words),
        "meaning": ranked(near, -1.0),
        "ranks": [*fused((1.0, ranked(near, -1.0)), (1.0, ranked(words)))],
        "sum": ranked([one + WORDS * two for one, two in zip(near, words, strict=True)], -1.0),
    }
    found = {name: apart(order, passages, 10) for name, order in orders.items()}
    return {name: [(passages[i].first, passages[i].last) for i in order] for name, order in found.items()}


def rank(found: Iterable[Sequence[int]], wanted: set[int]) -> int | None:
    """Of the first that has one of the wanted segments, from 1."""
    hits = (number for number, orders in enumerate(found, 1) if wanted.intersection(orders))
    return next(hits, None)


def hits(ranks: Sequence[int | None]) -> dict[str, float]:
    found = [rank or 10**9 for rank in ranks]
    shares = {f"hit@{most}": sum(rank <= most for rank in found) / len(found) for most in (1, 3)}
    return {
        name: round(value, 3) for name, value in {**shares, "mrr": sum(1 / rank for rank in found) / len(found)}.items()
    }


# What is refused


def refusals(rows: Sequence[dict[str, Any]], refused: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for half, chosen in (("all", rows), ("odd", rows[::2]), ("even", rows[1::2])):
        missing, there = [row for row in chosen if not row["answerable"]], [row for row in chosen if row["answerable"]]
        found[half] = {
            "unanswerable": len(missing),
            "refused": round(sum(map(refused, missing)) / len(missing), 3),
            "answerable": len(there),
            "wrongly_refused": sum(map(refused, there)),
        }
    return found


def questions(tools: Tools) -> dict[str, Any]:
    scripts = {row["id"]: SourceText.of(transcript(row)) for row in lines("transcripts.jsonl")}
    started = time.perf_counter()
    indexes = {name: vectors_of(script, tools) for name, script in scripts.items()}
    seconds = time.perf_counter() - started
    words = sum(len(script.text.split()) for script in scripts.values())
    ranks: dict[str, list[int | None]] = defaultdict(list)
    rows = []
    for row in lines("questions.jsonl"):
        script, index = scripts[row["transcript"]], indexes[row["transcript"]]
        asked = question(script, index, tools, row["question"])
        near = places(tools, script, asked)
        if row["answerable"]:
            wanted = set(row["segments"])
            for name, order in rankings(script, index, tools, row["question"]).items():
                ranks[name].append(rank((range(first, last + 1) for first, last in order), wanted))
            ranks["quoted segments"].append(rank(([part.order for part in place.parts] for place in near), wanted))
        rows.append(row | {"signs": signs(tools, script, asked, near)})
    return {
        "questions": len(rows),
        "passages": sum(len(index.places) for index in indexes.values()),
        "found": {name: hits(found) for name, found in ranks.items()},
        "refused": {
            "as it is": refusals(rows, lambda row: row["signs"].missing),
            "by sign": {
                name: refusals(rows, lambda row, name=name: bool(getattr(row["signs"], name)))["all"]
                for name in ("stranger", "lacking", "silent", "unknown")
            },
            "by nearness": {
                str(least): refusals(rows, lambda row, least=least: row["signs"].nearness < least)["all"]
                for least in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
            },
        },
        "index_seconds_per_hour_of_speech": round(seconds / words * RATE, 1),
    }


# What a language model answers


def answers(tools: Tools, model: str) -> dict[str, Any]:
    """What it refuses, and how often what it cites has the answer; with the answers, to be read."""
    by = writer(tools, model)
    scripts = {row["id"]: SourceText.of(transcript(row)) for row in lines("transcripts.jsonl")}
    indexes = {name: vectors_of(script, tools) for name, script in scripts.items()}
    rows, seconds = [], []
    for row in lines("questions.jsonl"):
        script = scripts[row["transcript"]]
        asked = question(script, indexes[row["transcript"]], tools, row["question"])
        started = time.perf_counter()
        made = by.answer(script, asked)
        seconds.append(time.perf_counter() - started)
        cited = {order for span in made.spans for order in script.segment_orders((span,))}
        own = {"found": made.found, "by": made.model, "said": made.answer, "cited": sorted(cited)}
        print(row["question"], own, flush=True)
        rows.append(row | own | {"hit": not cited.isdisjoint(row.get("segments", ()))})
    there = [row for row in rows if row["answerable"] and row["found"]]
    return {
        "model": by.model,
        "refused": refusals(rows, lambda row: not row["found"]),
        "answered": len(there),
        "citing_the_answer": round(sum(row["hit"] for row in there) / len(there), 3),
        "instead": sum(row["found"] and row["by"] != by.model for row in rows),
        "median_s": round(statistics.median(seconds), 1),
        "answers": [{name: row[name] for name in ("question", "found", "by", "said", "hit")} for row in rows],
    }


# How long a search takes


def search(tools: Tools, count: int) -> dict[str, Any]:
    """Over a library of transcripts with random vectors, which cost as much as others."""
    rng = np.random.default_rng(5)
    rows = [transcript(row) for row in lines("transcripts.jsonl")]
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/stt_lab.db")
        database.migrate()
        library = Library(database, Path(folder))
        for number in range(count):
            row = rows[number % len(rows)]
            with database.write() as session:
                stored = library.open(session, ADMINISTRATOR_ID, f"Talk {number}")
                library.complete(session, stored, replace(row, model="base"))
            waiting = library.passages.claim()
            assert waiting is not None
            vectors = rng.standard_normal((PASSAGES, WIDTH)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            spots = tuple((i % len(row.segments), i % len(row.segments)) for i in range(PASSAGES))
            library.passages.put(waiting, "random", IndexedPassages(spots, vectors))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        walls = defaultdict(list)
        for _ in range(ROUNDS):
            for query in QUERIES:
                started = time.perf_counter()
                vector = tools.embed([query])[0]
                embedded = time.perf_counter()
                library.passages.nearest(ADMINISTRATOR_ID, vector, -1.0, 200)
                compared = time.perf_counter()
                by_meaning(library, tools, ADMINISTRATOR_ID, query)
                walls["embed"].append(embedded - started)
                walls["compare"].append(compared - embedded)
                walls["whole"].append(time.perf_counter() - compared)
        database.close()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    times = {f"{name}_ms": round(1000 * statistics.median(wall), 1) for name, wall in walls.items()}
    return {"transcripts": count, "passages": count * PASSAGES, **times, "memory_mb": round(grown / 1024)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--model")
    chosen = parser.parse_args()
    tools = Tools(Pool(get_settings().model_copy(update={"engine_host": "inprocess"})), silent)
    if chosen.model:
        name, found = f"text-answers-{chosen.model}", answers(tools, chosen.model)
    else:
        name = "text-retrieval"
        found = questions(tools) | {"search": [search(tools, count) for count in chosen.library]}
    made = json.dumps(found, indent=1, ensure_ascii=False)
    (HERE / "results" / f"{name}.json").write_text(made + "\n", "utf-8")
    print(made)


if __name__ == "__main__":
    main()
