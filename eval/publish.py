"""Scores of runs as files of results, and docs/figures.md as their tables.

    stt-lab eval dev --name dev && python eval/publish.py eval/runs/dev    keeps a run's scores in eval/results
    python eval/publish.py                                                 prints docs/figures.md from what is kept

What is kept has rates, counts and costs, and of where they were made the versions, weights and processor: no texts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "eval" / "results", ROOT / "docs" / "figures.md"
MEASURES = {"wer": "WER", "cer": "CER", "der": "DER", "jer": "JER", "cpwer": "cpWER", "wder": "WDER"}
SPACELESS = ("ja", "th", "zh")  # errors are counted by character
INTRODUCTION = (
    "Printed by `python eval/publish.py` from eval/results; do not edit. Rates in %, with 95 % intervals by bootstrap"
    " over recordings. Words are compared by Whisper's normaliser of their language; in ja, th and zh characters are."
    " The recordings are the development set. Settings of the second look and of the diarizer were chosen on it"
    " (assembled conversations, AMI, videos, and the WER of all); none was chosen on `long_*` and"
    " `falcon_test`."
)
KEPT = (*MEASURES, "non_speech", "speakers", "word_starts", "word_ends")


def keep(run: Path) -> Path:
    """Write the scores of a run to eval/results."""
    scores = json.loads((run / "scores.json").read_text("utf-8"))
    made = {name: scores[name] for name in ("dataset", "normaliser", "collar_s", "intervals", "seed", "comparisons")}
    made["provenance"] = json.loads((run / "provenance.json").read_text("utf-8"))
    made["systems"] = {name: _kept(found) for name, found in scores["systems"].items()}
    path = RESULTS / f"suite-{scores['suite']}.json"
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def _kept(found: Mapping[str, Any]) -> dict[str, Any]:
    quality = {"all": found["quality"]["all"]} | found["quality"]["language"]
    small = {group: {name: one[name] for name in KEPT if name in one} for group, one in quality.items()}
    return {name: found[name] for name in ("recordings", "failures", "failed", "cost")} | {"quality": small}


def page() -> str:
    """docs/figures.md as it must be."""
    parts = [
        "# Figures",
        INTRODUCTION,
        *(part for path in sorted(RESULTS.glob("suite-*.json")) for part in _suite(path)),
    ]
    return "\n\n".join(parts) + "\n"


def _suite(path: Path) -> Iterator[str]:
    scores = json.loads(path.read_text("utf-8"))
    name, systems = path.stem.removeprefix("suite-"), scores["systems"]
    dataset = scores["dataset"]
    yield f"## `stt-lab eval {name}`"
    yield f"{dataset['recordings']} recordings of {dataset['name']} (digest `{dataset['digest'][:12]}`)."
    yield _table("", systems, _overall(systems))
    if languages := list(_languages(systems)):
        yield _table("WER (CER) by language", systems, languages)
    if verdicts := [one for one in scores["comparisons"] if one["measure"] == "wer"]:
        yield "\n".join(f"* {one['verdict']}" for one in verdicts)


def _table(head: str, systems: Mapping[str, Any], rows: Iterable[tuple[str, list[str]]]) -> str:
    lines = [f"| {head} | {' | '.join(systems)} |", "|---" * (len(systems) + 1) + "|"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)])


def _overall(systems: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    found = list(systems.values())
    yield "recordings (failed)", [f"{one['recordings']} ({one['failures']})" for one in found]
    for measure, shown in MEASURES.items():
        cells = [_rate(one["quality"]["all"].get(measure, {}).get(measure)) for one in found]
        if any(cell != "-" for cell in cells):
            yield shown, cells
    noise = [one["quality"]["all"].get("non_speech", {}).get("words_per_minute") for one in found]
    yield "words per minute where nobody speaks", [_rate(one, 1) for one in noise]
    yield "RTFx", [_rate(one["cost"].get("rtfx"), 1) for one in found]
    yield "CPU seconds a second", [f"{one['cost']['cpu'] / one['cost']['duration']:.2f}" for one in found]
    yield "peak memory, MB", [f"{one['cost']['memory_mb']:.0f}" for one in found]
    yield "timed while others used the machine", [f"{one['cost']['busy']} of {one['recordings']}" for one in found]


def _languages(systems: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    codes = sorted({code for one in systems.values() for code in one["quality"]} - {"all", "none"})
    for code in codes:
        measure = "cer" if code in SPACELESS else "wer"
        cells = [_rate(one["quality"].get(code, {}).get(measure, {}).get(measure)) for one in systems.values()]
        yield f"{code} ({measure.upper()})" if code in SPACELESS else code, cells


def _rate(rate: Mapping[str, float | None] | None, factor: float = 100) -> str:
    if rate is None or rate["value"] is None:
        return "-"
    low, high = (rate["low"], rate["high"])
    value = f"{factor * rate['value']:.1f}"
    return value if low is None or high is None else f"{value} ({factor * low:.1f} to {factor * high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="folders of runs to keep")
    for run in parser.parse_args().runs:
        print(keep(run))
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
