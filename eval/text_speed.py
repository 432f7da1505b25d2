"""How long texts take: 10,000 words summarised and analysed, and vectors beside sentence-transformers.

    python eval/text_speed.py [--only writing]       writes eval/results/text-speed.json

Everything goes through the product's own functions, which work in processes of their own. `first` includes the start of
those and the loading of weights; `again` is another text, of which nothing is known.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil

import stt_lab
from stt_lab.settings import get_settings
from stt_lab.weights import catalog
from stt_lab.writing.tools import EXACT, FAST

HERE = Path(__file__).parent
WORDS = 10_000
TYPES = ("sentiment", "topics", "entities", "action_items", "questions", "pii_redact")
ROUNDS = 9  # of embedding, in turns
Row = dict[str, Any]


def spoken() -> list[str]:
    """What was said in all conversations of eval/text, segment by segment."""
    lines = (HERE / "text" / "transcripts.jsonl").read_text("utf-8").splitlines()
    return [segment["text"] for line in lines for segment in json.loads(line)["segments"]]


def writing(text: str) -> Row:
    """Seconds of a summary, and of each analysis after it."""
    made: Row = {}
    for turn in ("first", "again"):
        fresh = f"This is what was said, {turn}. {text}"
        made[turn] = {"summary": timed(partial(stt_lab.summarize, fresh, model="extractive"))}
        for kind in TYPES:
            made[turn][kind] = timed(partial(stt_lab.analyze, f"And {fresh}", kind, model="extractive"))
        analyses = [made[turn][kind] for kind in TYPES]
        made[turn]["analyses"] = {name: round(sum(one[name] for one in analyses), 2) for name in analyses[0]}
    return made


def timed(work: Callable[[], object]) -> Row:
    """On the clock, and of the processors by this process and its engines."""
    wall, cpu = time.perf_counter(), processors()
    work()
    return {"wall_s": round(time.perf_counter() - wall, 2), "cpu_s": round(processors() - cpu, 2)}


def processors() -> float:
    me = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (me, *me.children(recursive=True)))


def embedding(texts: list[str]) -> Row:
    """Rounds in turns, and the median of their ratios; the reference has the same weights, in its own batches."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    words = Transformer(str(catalog.locate(catalog.get(EXACT), get_settings())), max_seq_length=256)
    reference = SentenceTransformer(modules=[words, Pooling(384, "mean"), Normalize()], device="cpu")
    ways = {FAST: partial(stt_lab.embed, texts, FAST), "sentence-transformers": partial(reference.encode, texts)}
    rounds = [{name: timed(way) for name, way in ways.items()} for _ in range(ROUNDS + 1)][1:]  # the first one loads
    ratios = {
        kind: round(median(one["sentence-transformers"][kind] / one[FAST][kind] for one in rounds), 2)
        for kind in ("wall_s", "cpu_s")
    }
    return {"texts": len(texts), "rounds": rounds, "times_faster": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("writing", "embedding"), help="one half")
    only = parser.parse_args().only
    texts = spoken()
    words = " ".join(texts).split()[:WORDS]
    path = HERE / "results" / "text-speed.json"
    made: Row = json.loads(path.read_text("utf-8")) if only else {}
    made["words"] = len(words)
    if only != "embedding":
        made["writing"] = writing(" ".join(words))
    if only != "writing":
        made["embedding"] = embedding(texts)
    path.write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
