"""README's numbers: what measures each, where it lies in eval/results, and whether it still holds.

    python eval/claims.py                      measures everything, then compares with README (`make eval`)
    python eval/claims.py --only words,short   only some of it
    python eval/claims.py --check              measures nothing: does README say what eval/results has?
    python eval/claims.py --write              prints README's table from eval/results

The table under "What it is worth" is printed from readme.py, so that each of its numbers is one of a file of results. A
line whose file is missing stays as it is, and is told as not measured. A new number may be worse than README's by its
tolerance, in the units that README shows. Recordings come from STT_LAB_SPEECH_DIR.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from claim import LESS, MORE, SAME, Number, Row
from readme import MEASUREMENTS, ROWS

ROOT = Path(__file__).resolve().parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "eval" / "results"
HEAD = "| what | stt_lab | beside it |\n|---|---|---|\n"


# README


def claims(readme: str) -> list[str]:
    """The lines of its table of numbers."""
    table = readme.partition(HEAD)[2].partition("\n\n")[0]
    return table.splitlines()


def stored(row: Row) -> Any:
    """The results of its measurement; None where there are none."""
    path = RESULTS / MEASUREMENTS[row.measurement].file
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def check(readme: str) -> tuple[list[str], list[str]]:
    """What is wrong with the lines of README, and what cannot be told because it was not measured."""
    lines, wrong, unknown = claims(readme), [], []
    for row in ROWS:
        line = next((line for line in lines if row.claimed(line)), "")
        results = stored(row)
        if results is None:
            unknown += [f"not measured ({MEASUREMENTS[row.measurement].file} is missing): {line or row.title()}"]
        elif line != row.text(results):
            stands, lies = line or "nothing", row.text(results)
            wrong.append(f"README has {stands}\n  eval/results {lies}\n  run python eval/claims.py --write")
    wrong += [f"nothing measures {line}" for line in lines if not any(row.claimed(line) for row in ROWS)]
    return wrong, unknown


def written(readme: str) -> str:
    """README with its table printed from what is stored."""
    before, after = claims(readme), []
    for row in ROWS:
        results = stored(row)
        kept = next((line for line in before if row.claimed(line)), None)
        after += [row.text(results)] if results is not None else [kept] if kept else []
    return readme.replace(HEAD + "\n".join(before), HEAD + "\n".join(after))


# Measuring


@dataclass(frozen=True)
class Finding:
    """A number of README beside the same number measured anew."""

    what: str
    number: str
    readme: str
    measured: str = "-"
    difference: str = "-"
    verdict: str = ""
    wrong: bool = False


def measure(name: str) -> str:
    """Run a measurement, which replaces its file; why it failed, or nothing."""
    chosen = MEASUREMENTS[name]
    print(f"{name}: python {chosen.command} (some {chosen.minutes} minutes)", file=sys.stderr, flush=True)
    said = subprocess.run(
        [sys.executable, *shlex.split(chosen.command)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return (said.stderr.strip().splitlines() or [f"status {said.returncode}"])[-1] if said.returncode else ""


def compare(row: Row, readme: str, failure: str) -> Iterator[Finding]:
    """README's numbers of a row beside those of a new measurement."""
    claimed = next((found for line in claims(readme) if (found := row.claimed(line))), {})
    results = None if failure else stored(row)
    for name, number in row.numbers.items():
        said = claimed.get(name, "-")
        if results is None:
            yield Finding(row.title(), name, said, verdict=failure or "not measured", wrong=True)
        else:
            yield compared(row.title(), name, said, number, number.of(results))


def compared(what: str, name: str, said: str, number: Number, value: float) -> Finding:
    now = format(value, number.shown)
    if said == "-":
        return Finding(what, name, said, now, verdict="not in README")
    change = float(now.replace(",", "")) - float(said.replace(",", ""))
    worse = {LESS: change, MORE: -change, SAME: abs(change)}[number.better]
    held = worse <= number.tolerance + 1e-9
    verdict = (
        "the same" if now == said else f"{'within' if held else 'NOT within'} {number.tolerance:g}, {number.better}"
    )
    return Finding(what, name, said, now, format(change, "+" + number.shown), verdict, not held)


def table(findings: Sequence[Finding]) -> str:
    heads = ("what", "number", "README", "measured", "difference", "")
    rows = [heads, *(astuple(finding)[: len(heads)] for finding in findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def chosen(only: str) -> list[str]:
    names = [name.strip() for name in only.split(",") if name.strip()] or list(MEASUREMENTS)
    if unknown := [name for name in names if name not in MEASUREMENTS]:
        raise SystemExit(f"There is no measurement {unknown[0]!r}: choose from {', '.join(MEASUREMENTS)}.")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="measurements, by commas: " + ", ".join(MEASUREMENTS))
    parser.add_argument("--check", action="store_true", help="measure nothing")
    parser.add_argument("--write", action="store_true", help="print README's table; measure nothing")
    options = parser.parse_args(arguments)
    readme = README.read_text("utf-8")
    if options.write:
        README.write_text(written(readme), "utf-8")
        return 0
    if options.check:
        return _told(*check(readme))
    failures = {name: measure(name) for name in chosen(options.only)}
    findings = [
        one for row in ROWS if row.measurement in failures for one in compare(row, readme, failures[row.measurement])
    ]
    print(table(findings))
    return int(any(one.wrong for one in findings))


def _told(wrong: list[str], unknown: list[str]) -> int:
    print("\n".join([*unknown, *wrong] or ["README says what eval/results has."]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
