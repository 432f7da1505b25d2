"""What a language model's statements about eval/text are worth: how many the text bears out, and how long it takes.

    python eval/text_models.py [--model smollm2-135m] [--talks 3] [--fragments 14]
    python eval/text_models.py --nearness

Of the shortest conversations a brief summary and the action items; of fragments that talk to the model, from all over
the set, a brief summary, and which traces of obedience it has (or of a report that somebody wanted it). Into
eval/results/text-models-MODEL.json. `--nearness` is what verify.NEAR is chosen by: cosines of the sentences of the
written summaries to the three sentences that are nearest, and to three that were drawn.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stt_lab.runtime import private_runtime
from stt_lab.settings import get_settings
from stt_lab.text.sentences import sentences
from stt_lab.types import Segment, Transcript
from stt_lab.writing import grounding as verify
from stt_lab.writing import llm_analyses as findings
from stt_lab.writing.annotated_text import AnnotatedText, GroundedStatement
from stt_lab.writing.generative import MOST
from stt_lab.writing.llm_reader import LlmReader, spread
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools

HERE = Path(__file__).parent
FEW = 5  # words of a sentence that says something
LEAST = (0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
Row = dict[str, Any]
WORK: dict[str, Callable[[LlmReader], Any]] = {
    "brief": lambda reader: reader.brief(MOST["brief"]),
    "action_items": findings.actions,
}


def read(name: str) -> list[Row]:
    return [json.loads(line) for line in (HERE / "text" / name).read_text("utf-8").splitlines()]


def script(row: Row) -> SourceText:
    segments = tuple(Segment(one["start"], one["end"], one["text"], (), one["speaker"]) for one in row["segments"])
    return SourceText.of(Transcript("en", segments[-1].end, segments))


def worked(tools: Tools, model: Any, row: Row, work: str) -> Row:
    """One text, one task: seconds, and what became of the statements."""
    reader = LlmReader(AnnotatedText(script(row), tools), model)
    began = time.perf_counter()
    found = WORK[work](reader)
    return {
        "id": row["id"],
        "work": work,
        "words": len(script(row).text.split()),
        "seconds": round(time.perf_counter() - began, 2),
        "kept": reader.kept,
        "dropped": reader.dropped,
        "failed": reader.failed,
        "statements": [one.text for one in found],
    }


def nearness(tools: Tools) -> Row:
    """Shares of true and of false citations that would pass, by the least cosine."""
    rng = np.random.default_rng(0)
    cosines: dict[str, list[float]] = {"true": [], "false": []}
    for row in read("transcripts.jsonl"):
        reading = AnnotatedText(script(row), tools)
        lines = [one for one in reading.sentences if len(one.text.split()) >= FEW]
        told = [span.of(row["summary"]) for span in sentences(row["summary"])]
        near = tools.embed(told) @ tools.embed(one.text for one in lines).T
        for text, best in zip(told, np.argsort(-near)[:, :3], strict=True):
            for kind, places in (("true", best), ("false", rng.choice(len(lines), 3, replace=False))):
                about = GroundedStatement.about(text, tuple(lines[place] for place in sorted(places)))
                cosines[kind] += verify.nearness(tools, [about])
    return {
        kind: {f"{least:.2f}": round(float((np.array(found) >= least).mean()), 3) for least in LEAST}
        for kind, found in cosines.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--talks", type=int, default=3)
    parser.add_argument("--fragments", type=int, default=14)
    parser.add_argument("--nearness", action="store_true")
    chosen = parser.parse_args()
    runtime = private_runtime(get_settings())
    tools = Tools(runtime.pool, lambda event: None)
    if chosen.nearness:
        print(json.dumps(nearness(tools), indent=1))
        return
    model = next(one for one in runtime.pool.available("write") if one.id == chosen.model)
    talks = sorted(read("transcripts.jsonl"), key=lambda row: len(script(row).text))[: chosen.talks]
    fragments = spread(read("injections.jsonl"), chosen.fragments)
    worked(tools, model, fragments[0], "brief")  # loads
    rows = [worked(tools, model, row, work) for row in talks for work in WORK]
    told = [worked(tools, model, row, "brief") for row in fragments]
    for row, made in zip(fragments, told, strict=True):
        made["traces"] = [trace for trace in row["traces"] if trace in " ".join(made["statements"])]
    made = json.dumps({"model": model.id, "talks": rows, "fragments": told}, indent=1, ensure_ascii=False)
    (HERE / "results" / f"text-models-{model.id}.json").write_text(made + "\n", "utf-8")
    for name, some in (("brief", rows[::2]), ("action_items", rows[1::2]), ("fragments", told)):
        kept, dropped = sum(one["kept"] for one in some), sum(one["dropped"] for one in some)
        seconds, words = sum(one["seconds"] for one in some), sum(one["words"] for one in some)
        print(f"{name}: {len(some)} texts, {words} words, {seconds:.0f} s, statements: {kept} kept, {dropped} dropped")
    print("traces:", [one["id"] for one in told if one["traces"]])
    runtime.close()


if __name__ == "__main__":
    main()
