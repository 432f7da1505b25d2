"""Return the numbers of a run as pandas tables; fractions in percent, low and high bound the 95 % interval."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from stt_lab.errors import BadInput
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.noise.levels import estimates
from stt_lab.lab.scoring.results import ALL, Results
from stt_lab.lab.scoring.scores import NAMES, factor
from stt_lab.metrics import WordErrors, align, bootstrap, confusions, pool
from stt_lab.types import Segment, Turn

RATE = {"non_speech": "words_per_minute", "word_starts": "mae", "word_ends": "mae", "speakers": "accuracy"}
LENGTHS = (0, 5, 10, 20, 60, math.inf)  # seconds: bounds of the groups by length
SNRS = {  # decibels: upper bound and name of the groups
    5.0: "under 5 dB", 10.0: "5 to 10 dB", 15.0: "10 to 15 dB", 20.0: "15 to 20 dB", 30.0: "20 to 30 dB",
    math.inf: "30 dB and more",
}  # fmt: skip
UNKNOWN = "cannot be estimated"
COLUMNS = ["system", "group", "value", "low", "high", "recordings", "total"]  # of rates
COMPARED = ["measure", "first", "second", "difference", "low", "high", "significant", "verdict"]
SHORT = {"non_speech": "noise words/min"}
NOTHING = "-"  # in place of a missing word or value


def systems(results: Results) -> Any:
    """Return a column per system: rates with intervals, failures and cost."""
    rows = []
    for name, found in results.scores["systems"].items():
        quality, cost = found["quality"][ALL], found["cost"]
        row: dict[str, Any] = {"system": name, "recordings": found["recordings"], "failed": found["failures"]}
        for measure in ("wer", "cer", "der", "cpwer", "wder", "non_speech"):
            if measure in quality:
                row[SHORT.get(measure, NAMES[measure])] = _interval(
                    quality[measure][RATE.get(measure, measure)], factor(measure)
                )
        row["RTFx"] = _interval(cost.get("rtfx"), 1)
        row |= {"CPU (s)": cost["cpu"], "memory (MB)": cost["memory_mb"], "busy": cost["busy"]}
        rows.append(row)
    return _plain(pd.DataFrame(rows).set_index("system")).T.rename_axis(None, axis="columns")


def _interval(rate: Mapping[str, float | None] | None, factor: float) -> str:
    if rate is None or rate["value"] is None:
        return NOTHING
    value = f"{factor * rate['value']:.1f}"
    if rate["low"] is None or rate["high"] is None:
        return value
    return f"{value} ({factor * rate['low']:.1f}–{factor * rate['high']:.1f})"


def _plain(table: Any) -> Any:
    """Format floats as whole numbers, and missing values as a dash."""
    return table.map(
        lambda one: NOTHING if one is None or one != one else f"{one:.0f}" if isinstance(one, float) else one
    )


def rates(results: Results, measure: str = "wer", by: str = ALL) -> Any:
    """Return value, low, high, recordings and total by system and group. `by`: all, language, source or kind."""
    rate, rows = RATE.get(measure, measure), []
    for name, found in results.scores["systems"].items():
        groups = {ALL: found["quality"][ALL]} if by == ALL else found["quality"][by]
        for group, quality in groups.items():
            if measure in quality and quality[measure][rate]["value"] is not None:
                one = quality[measure]
                limits = {key: _scaled(one[rate][key], measure) for key in ("value", "low", "high")}
                rows.append(
                    {"system": name, "group": group, **limits, "recordings": one["recordings"], "total": one["total"]}
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def _scaled(value: float | None, measure: str) -> float:
    return math.nan if value is None else factor(measure) * value


def parts(results: Results, measure: str, names: Sequence[str]) -> Any:
    """Return components of a rate in percent of its total, such as ("substitutions", ...) of wer."""
    rows = {}
    for system, found in results.scores["systems"].items():
        one = found["quality"][ALL].get(measure)
        if one and one["total"]:
            rows[system] = {name: 100 * one[name] / one["total"] for name in names}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(names))


def recordings(results: Results, measure: str = "wer") -> Any:
    """Return a row per system and recording with the measure: rate, counts, language, source, kind and duration."""
    rows, seconds = [], {row.key: row.duration for row in results.predictions}
    for (system, id), measures in results.counts.items():
        if measure in measures and measures[measure].total:
            item, counts = results.items[id], measures[measure]
            parts = {field.name: getattr(counts, field.name) for field in fields(counts)}
            about: dict[str, Any] = {"language": item.language, "source": item.source, "kind": item.kind}
            about["duration"] = seconds[system, id] or item.duration
            rows.append({"system": system, "item": id, "rate": factor(measure) * counts.rate, **parts, **about})
    if not rows:
        raise BadInput(
            f"No recording of this run has the references for {NAMES.get(measure, measure)}. See docs/lab-data.md."
        )
    return pd.DataFrame(rows)


def hardest(results: Results, measure: str, most: int = 20) -> Any:
    """Return the recordings with the highest rates, with their components."""
    about = ["language", "source", "kind"]
    made = recordings(results, measure).drop(columns=about).sort_values("rate", ascending=False, kind="stable")
    units = {"false_alarm": "false alarm (s)", "missed": "missed (s)", "confusion": "confusion (s)"}
    units |= {"item": "recording", "seconds": "speech (s)", "duration": "duration (s)", "rate": NAMES[measure]}
    return made.head(most).rename(columns=units)


def speed(results: Results) -> Any:
    """Return a row per recording: duration, processing seconds, RTF, CPU seconds, memory, and busy flag."""
    rows = [
        {
            "system": row.system, "item": row.item, "duration": row.duration, "seconds": row.seconds,
            "RTF": row.seconds / row.duration, "cpu": row.cpu, "memory_mb": row.memory_mb, "busy": row.busy,
        }
        for row in results.predictions
        if row.error is None and row.seconds is not None and row.duration and row.system in results.systems
    ]  # fmt: skip
    if not rows:
        raise BadInput("No recording of this run has a processing time. Run the suite again.")
    return pd.DataFrame(rows)


def latency(results: Results) -> Any:
    """Return median, 90th and 99th percentile of processing seconds and RTF by system."""
    grouped = speed(results).groupby("system", sort=False)
    columns = {}
    for column, unit in (("seconds", "s"), ("RTF", "RTF")):
        for name, share in (("median", 0.5), ("90 %", 0.9), ("99 %", 0.99)):
            columns[f"{name} ({unit})"] = grouped[column].quantile(share).round(3)
    return pd.DataFrame(columns | {"recordings": grouped.size(), "busy": grouped["busy"].sum()}).reset_index()


def confusion_pairs(results: Results, system: str, most: int = 15) -> Any:
    """Return the most frequent word confusions, each with an example recording."""
    pairs: Counter[tuple[str | None, str | None]] = Counter()
    seen: dict[tuple[str | None, str | None], str] = {}
    for item, row in results.outputs(system):
        if "wer" in results.counts[row.key]:
            found = confusions(align(item.text or "", row.text or "", results.normaliser(item)))
            pairs += found
            seen = dict.fromkeys(found, item.id) | seen
    rows = [(said or NOTHING, heard or NOTHING, n, seen[said, heard]) for (said, heard), n in pairs.most_common(most)]
    return pd.DataFrame(rows, columns=["said", "heard", "times", "for example"])


def labelled(rates: Any) -> Any:
    """Rename the columns of `rates` for display."""
    return rates.rename(columns={"value": NAMES["wer"], "low": "95 % from", "high": "to", "total": "words"})


def by_group(table: Any, names: Iterable[Any], seed: int = 0) -> Any:
    """Pool a table of `recordings` by system and a group name per row; return WER with intervals, like `rates`."""
    groups: dict[tuple[str, Any], list[WordErrors]] = defaultdict(list)
    columns = [field.name for field in fields(WordErrors)]
    for (_, row), name in zip(table.iterrows(), names, strict=True):
        groups[row["system"], name].append(WordErrors(*(int(row[column]) for column in columns)))
    rows = []
    for (system, name), values in groups.items():
        total, (low, high) = pool(values), bootstrap(values, seed)
        rows.append((system, name, 100 * total.rate, 100 * low, 100 * high, len(values), total.words))
    return pd.DataFrame(rows, columns=COLUMNS)


def by_length(results: Results) -> Any:
    """Return WER by length of the recording."""
    table = recordings(results)
    table = table[table["duration"].notna()]
    labels = ["under 5 s", "5 to 10 s", "10 to 20 s", "20 to 60 s", "over 60 s"]
    cut = pd.cut(table["duration"], list(LENGTHS), labels=labels, right=False)
    made = by_group(table, cut.astype(str), results.run.suite.seed)
    return made.sort_values("group", key=lambda groups: groups.map(labels.index), kind="stable")


def by_snr(results: Results) -> Any:
    """Return WER by estimated SNR; this decodes the recordings."""
    table = recordings(results)
    known = estimates(results.items[id] for id in dict.fromkeys(table["item"]))
    names = [_snr_group(known[id]) for id in table["item"]]
    made = by_group(table, names, results.run.suite.seed)
    order = [*SNRS.values(), UNKNOWN]
    return made.sort_values("group", key=lambda groups: groups.map(order.index), kind="stable")


def _snr_group(snr: float | None) -> str:
    return UNKNOWN if snr is None else next(name for limit, name in SNRS.items() if snr < limit)


def by_speaker(results: Results, most: int = 20) -> Any:
    """Return WER by speaker, for recordings of one speaker; most words first."""
    table = recordings(results)
    names = [_only_speaker(results.items[id]) for id in table["item"]]
    table, named = table[[bool(name) for name in names]], [name for name in names if name]
    return by_group(table, named, results.run.suite.seed).sort_values("total", ascending=False).head(most)


def _only_speaker(item: Item) -> str:
    """Return the name of the only speaker of a recording, or ""."""
    spans: tuple[Turn | Segment, ...] = item.turns or item.segments or ()
    labels = [item.extra.get("speaker"), *(item.extra.get("speakers") or ())]
    names = {span.speaker for span in spans if span.speaker} or {str(name) for name in labels if name}
    return min(names) if len(names) == 1 else ""


def worst(results: Results, system: str, most: int = 5) -> Any:
    """Return the recordings with the highest WER of a system."""
    results.system(system)
    table = recordings(results)
    chosen = table[table["system"] == system].sort_values(["rate", "words"], ascending=False).head(most)
    return chosen[["item", "language", "duration", "words", "rate"]].rename(columns={"rate": "WER (%)"})


def comparisons(results: Results, first: str = "", second: str = "") -> Any:
    """Return the comparisons of two systems by measure; "" matches any system."""
    wanted = {first, second} - {""}
    rows = [one for one in results.scores["comparisons"] if wanted <= {one["first"], one["second"]}]
    if not rows:
        raise BadInput("There is no comparison. It needs two systems with at least two recordings in common.")
    return pd.DataFrame(rows, columns=COMPARED)


def paired(results: Results, first: str, second: str, measure: str = "wer") -> Any:
    """Return the rates of two systems on their common recordings, by difference, largest first."""
    table = recordings(results, measure).pivot(index="item", columns="system", values="rate")
    for name in (first, second):
        if name not in table:
            raise BadInput(
                f"{name!r} has no {NAMES.get(measure, measure)} in this run. Choose from {', '.join(table)}."
            )
    made = table[[first, second]].dropna()
    made["difference"] = made[first] - made[second]
    return made.sort_values("difference", ascending=False).rename_axis("recording").rename_axis(None, axis="columns")


def weights(results: Results) -> Any:
    """Return what the numbers depend on, as far as it was recorded."""
    found = results.provenance
    rows = [
        (key, str(found[key]))
        for key in ("made", "processor", "cores", "device", "threads")
        if found.get(key) is not None
    ]
    if found.get("commit"):  # "+": with changes
        rows.insert(1, ("commit", found["commit"][:12] + "+" * found["commit"].endswith("+")))
    data = results.scores["dataset"]
    rows += [("dataset", f"{data['name']}, {data['recordings']} recordings, {data['digest'][:12]}")]
    rows += [("normaliser", results.scores["normaliser"]), ("intervals", results.scores["intervals"])]
    return pd.DataFrame(rows, columns=["what", "value"]).set_index("what").rename_axis(None)
