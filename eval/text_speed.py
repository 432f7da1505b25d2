"""How long texts take: 10,000 words summarised and analysed, and vectors beside sentence-transformers.

    python eval/text_speed.py        writes eval/results/text-speed.json

Everything goes through the product's own functions, which work in processes of their own. `first` includes the start of
those and the loading of weights; `again` is another text, of which nothing is known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil

import stt_lab
from stt_lab.engines import catalog
from stt_lab.settings import get_settings
from stt_lab.writing.tools import EXACT, FAST

HERE = Path(__file__).parent
WORDS = 10_000
TYPES = ("sentiment", "topics", "entities", "action_items", "questions", "pii_redact")
ROUNDS = 5  # of embedding, in turns
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
    """Texts a second, medians of rounds in turns; the reference has the same weights, in its own batches."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    words = Transformer(str(catalog.locate(catalog.get(EXACT), get_settings())), max_seq_length=256)
    reference = SentenceTransformer(modules=[words, Pooling(384, "mean"), Normalize()], device="cpu")
    ways: dict[str, Callable[[], object]] = {
        EXACT: partial(stt_lab.embed, texts),
        FAST: partial(stt_lab.embed, texts, FAST),
        "sentence-transformers": partial(reference.encode, texts),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            took = timed(way)["wall_s"]
            if turn:  # the first one loads
                seconds[name].append(took)
    middle = {name: median(found) for name, found in seconds.items()}
    times = {name: round(middle["sentence-transformers"] / took, 2) for name, took in middle.items()}
    return {"texts": len(texts), "seconds": seconds, "times_faster": times}


def main() -> None:
    texts = spoken()
    words = " ".join(texts).split()[:WORDS]
    made = {"words": len(words), "writing": writing(" ".join(words)), "embedding": embedding(texts)}
    (HERE / "results" / "text-speed.json").write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
