"""Score predictions: pooled rates with bootstrap intervals, by group, and comparisons between systems.

Nothing is decoded. "quality" depends only on texts and times of the predictions, so that it is reproducible to the last
digit; "cost" depends on the machine of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.predictions import Prediction, read, write_json
from stt_lab.lab.runs.runner import Run
from stt_lab.lab.runs.suite import BY_LANGUAGE, Suite, normaliser_of
from stt_lab.lab.scoring.measures import ScoringRule, measure
from stt_lab.metrics import Counts, bootstrap, compare, pool
from stt_lab.text import Normaliser, find_normaliser, normaliser_name

SCORES = "scores.json"
RATES = {  # measure -> rates reported for it
    "wer": ("wer", "mer", "wil"), "cer": ("cer",), "non_speech": ("words_per_minute",),
    "word_starts": ("mae",), "word_ends": ("mae",), "der": ("der",), "jer": ("jer",), "speakers": ("accuracy",),
    "cpwer": ("cpwer",), "tcpwer": ("tcpwer",), "orcwer": ("orcwer",), "wder": ("wder",),
}  # fmt: skip
NO_SHARE = ("non_speech", "word_starts", "word_ends")  # rates with a unit, not fractions
NAMES = {
    "wer": "WER (%)", "cer": "CER (%)", "der": "DER (%)", "jer": "JER (%)", "cpwer": "cpWER (%)",
    "tcpwer": "tcpWER (%)", "orcwer": "ORC-WER (%)", "wder": "WDER (%)", "speakers": "correct speaker count (%)",
    "non_speech": "words per minute without speech", "word_starts": "error of word starts (s)",
    "word_ends": "error of word ends (s)", "speed": "RTF", "cpu": "CPU seconds per second",
}  # fmt: skip
OF_TIME = ("der", "jer", "speakers")  # measures that ignore words
OWN = ("mer", "wil", "mae", "accuracy", "rtfx")  # attribute names of counts; any other rate is `rate`
COMPARED = ("wer", "cer", "non_speech", "der", "cpwer", "wder", "word_starts", "speed", "cpu")
GROUPS: dict[str, Callable[[Item], str | None]] = {
    "language": lambda item: item.language,
    "source": lambda item: item.source,
    "kind": lambda item: item.kind,
}

Counted = Mapping[str, Mapping[str, Counts]]  # recording -> measure -> counts
_Pair = tuple[Item, Mapping[str, Counts]]


def factor(measure: str) -> float:
    """Return 100 for a fraction that is shown in percent, else 1."""
    return 1.0 if measure in NO_SHARE else 100.0


@dataclass(frozen=True)
class _Plan:
    rule: ScoringRule
    seed: int


def score(run: Run) -> dict[str, Any]:
    """Score a run's predictions, and write the scores to scores.json."""
    suite, items = run.suite, {item.id: item for item in run.items}
    rows = [row for row in read(run.predictions) if row.item in items]
    rule = rule_of(suite, run.folder)
    plan = _Plan(rule, suite.seed)
    counted = {entry.name: _counted(entry.name, rows, run.items, rule) for entry in suite.systems}
    made = {
        "suite": suite.name,
        "dataset": {"name": run.dataset.name, "digest": run.digest, "recordings": len(items)},
        "normaliser": suite.normaliser if suite.normaliser == BY_LANGUAGE else normaliser_name(rule.normaliser(None)),
        "collar_s": suite.collar_s,
        "intervals": "95 %, bootstrap by recording",
        "seed": suite.seed,
        "systems": {
            entry.name: _system([row for row in rows if row.system == entry.name], counted[entry.name], items, plan)
            for entry in suite.systems
        },
        "comparisons": _comparisons(counted, suite.seed),
    }
    write_json(run.folder / SCORES, made)
    return made


def rule_of(suite: Suite, folder: Path) -> ScoringRule:
    """Return the scoring rule of a suite; its table of replacements is read from `folder`."""
    if suite.normaliser == BY_LANGUAGE:
        return ScoringRule(normaliser_of, suite.collar_s)
    chosen: Normaliser = find_normaliser(suite.normaliser, folder)
    return ScoringRule(lambda language: chosen, suite.collar_s)


def _counted(system: str, rows: Iterable[Prediction], items: Sequence[Item], rule: ScoringRule) -> Counted:
    """Count in the dataset's order, so that resumed and distributed runs give the same intervals."""
    found = {row.item: row for row in rows if row.system == system}
    return {item.id: measure(item, found[item.id], rule) for item in items if item.id in found}


def _system(rows: Sequence[Prediction], counted: Counted, items: Mapping[str, Item], plan: _Plan) -> dict[str, Any]:
    failed = {row.item: row.error for row in rows if row.error is not None}
    parts: dict[str, dict[str, list[_Pair]]] = {group: {} for group in GROUPS}
    for id, counts in counted.items():
        for group, key in GROUPS.items():
            parts[group].setdefault(key(items[id]) or "none", []).append((items[id], counts))
    quality = {"all": _quality([(items[id], counts) for id, counts in counted.items()], plan)}
    for group, named in parts.items():
        quality[group] = {name: _quality(part, plan) for name, part in sorted(named.items())}
    return {
        "recordings": len(rows),
        "failures": len(failed),
        "failed": {id: failed[id] for id in items if id in failed},
        "quality": quality,
        "cost": _cost(rows, counted, plan.seed),
    }


def _quality(pairs: Sequence[_Pair], plan: _Plan) -> dict[str, Any]:
    """Pool each measure over the recordings that have it."""
    made: dict[str, Any] = {}
    for name, rates in RATES.items():
        if values := [counts[name] for _, counts in pairs if name in counts]:
            made[name] = _pooled(values, rates, plan.seed)
            if name not in OF_TIME:
                used = {plan.rule.normaliser(item.language) for item, counts in pairs if name in counts}
                made[name]["normaliser"] = ", ".join(sorted(map(normaliser_name, used)))
    return made


def _pooled(values: Sequence[Counts], rates: Sequence[str], seed: int) -> dict[str, Any]:
    total = pool(values)
    made: dict[str, Any] = {"recordings": len(values), "errors": total.errors, "total": total.total, "unit": total.unit}
    made |= {name: getattr(total, name) for name in vars(total) if name not in made}
    for rate in rates:
        attribute = rate if rate in OWN else "rate"
        low, high = bootstrap(values, seed, rate=attribute) if total.total else (math.nan, math.nan)
        made[rate] = {
            "value": _finite(getattr(total, attribute) if total.total else math.nan),
            "low": _finite(low),
            "high": _finite(high),
        }
    return made


def _finite(value: float) -> float | None:
    """Replace NaN and infinity, which JSON lacks, with None."""
    return value if math.isfinite(value) else None


def _cost(rows: Sequence[Prediction], counted: Counted, seed: int) -> dict[str, Any]:
    """Sum the cost of successful recordings; times of a busy machine count, and `busy` says how many there are."""
    good = [row for row in rows if row.error is None]
    made: dict[str, Any] = {"recordings": len(good), "busy": sum(row.busy for row in good)}
    speeds = [counts["speed"] for counts in counted.values() if "speed" in counts]
    if speeds:
        made["rtfx"] = _pooled(speeds, ("rtfx",), seed)["rtfx"]
    for name in ("duration", "seconds", "cpu", "joules"):
        values = [value for row in good if (value := getattr(row, name)) is not None]
        made[name] = round(sum(values), 3) if values else None
    peaks = [row.memory_mb for row in good if row.memory_mb is not None]
    made["memory_mb"] = max(peaks, default=None)
    return made


# Comparisons


def _comparisons(counted: Mapping[str, Counted], seed: int) -> list[dict[str, Any]]:
    """Compare every pair of systems by measure, on the recordings that both have."""
    made = []
    for first, second in combinations(counted, 2):
        for name in COMPARED:
            pairs = _pairs(counted[first], counted[second], name)
            if len(pairs) > 1 and pool(one for one, _ in pairs).total:
                made.append({"first": first, "second": second, "measure": name} | _compared(pairs, first, second, seed))
    return made


def _pairs(first: Counted, second: Counted, name: str) -> list[tuple[Counts, Counts]]:
    return [(one[name], second[id][name]) for id, one in first.items() if name in one and name in second.get(id, {})]


def _compared(pairs: Sequence[tuple[Counts, Counts]], first: str, second: str, seed: int) -> dict[str, Any]:
    found = compare([one for one, _ in pairs], [other for _, other in pairs], seed)
    return {
        "values": [_finite(found.first), _finite(found.second)],
        "difference": _finite(found.difference),
        "low": _finite(found.low),
        "high": _finite(found.high),
        "p_bootstrap": _finite(found.p_bootstrap),
        "p_permutation": _finite(found.p_permutation),
        "recordings": found.recordings,
        "significant": bool(found.significant),
        "verdict": found.verdict(first, second),
    }


# For people


COLUMNS = {"wer": "WER", "cer": "CER", "der": "DER", "cpwer": "cpWER", "wder": "WDER"}


def table(scores: Mapping[str, Any]) -> str:
    """Print a row per system: rates in percent, failures and cost."""
    heads = ["system", "files", "failed", *COLUMNS.values(), "noise w/min", "RTFx", "CPU s", "MB", "busy"]
    rows = [heads, *([name, *_cells(found)] for name, found in scores["systems"].items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    note = f"Rates in percent, without failed recordings; normaliser: {scores['normaliser']}."
    return "\n".join([*lines, note])


def _cells(found: Mapping[str, Any]) -> list[str]:
    quality, cost = found["quality"]["all"], found["cost"]
    rates = [_shown(quality.get(name, {}).get(name), 100) for name in COLUMNS]
    noise = _shown(quality.get("non_speech", {}).get("words_per_minute"))
    numbers = [_shown(cost.get("rtfx")), *(_plain(cost[name]) for name in ("cpu", "memory_mb"))]
    return [str(found["recordings"]), str(found["failures"]), *rates, noise, *numbers, str(cost["busy"])]


def _shown(rate: Mapping[str, float | None] | None, factor: float = 1.0) -> str:
    return "-" if rate is None or rate["value"] is None else f"{factor * rate['value']:.1f}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
