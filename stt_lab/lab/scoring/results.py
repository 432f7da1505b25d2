"""Open a stored run: its scores, and the counts of each recording.

results = open_results("eval/runs/dev")   # "" = the newest run
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_lab.cached import cached
from stt_lab.errors import BadInput, MissingFile
from stt_lab.lab.data.dataset import Item
from stt_lab.lab.runs.predictions import Prediction, read
from stt_lab.lab.runs.runner import PREDICTIONS, PROVENANCE, SUITE, Run, resume
from stt_lab.lab.scoring.measures import ScoringRule, measure
from stt_lab.lab.scoring.scores import SCORES, rule_of, score
from stt_lab.metrics import Counts
from stt_lab.settings import Settings, get_settings
from stt_lab.text import Normaliser

RUNS = Path("eval/runs")
ALL = "all"  # the group of all recordings


@dataclass(frozen=True)
class Results:
    """The results of a run, read from its folder; nothing is decoded."""

    run: Run
    scores: Mapping[str, Any]
    predictions: tuple[Prediction, ...]

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the systems, in the order of the suite."""
        return tuple(self.scores["systems"])

    @cached
    def items(self) -> Mapping[str, Item]:
        return {item.id: item for item in self.run.items}

    @cached
    def rule(self) -> ScoringRule:
        return rule_of(self.run.suite, self.run.folder)

    @cached
    def counts(self) -> Mapping[tuple[str, str], Mapping[str, Counts]]:
        """Counts by (system, recording) and measure, in the order of the dataset."""
        rows = {row.key: row for row in self.predictions}
        keys = [(system, id) for system in self.systems for id in self.items if (system, id) in rows]
        return {key: measure(self.items[key[1]], rows[key], self.rule) for key in keys}

    @cached
    def provenance(self) -> Mapping[str, Any]:
        """Provenance of the run; empty if none was recorded."""
        try:
            found: dict[str, Any] = json.loads((self.run.folder / PROVENANCE).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def normaliser(self, item: Item) -> Normaliser:
        return self.rule.normaliser(item.language)

    def outputs(self, system: str) -> Iterator[tuple[Item, Prediction]]:
        """Yield recordings with a system's successful predictions. Raises BadInput for an unknown system."""
        if system not in self.systems:
            raise BadInput(f"This run has no system {system!r}. Choose from {', '.join(self.systems)}.")
        for row in self.predictions:
            if row.system == system and row.error is None and row.item in self.items:
                yield self.items[row.item], row

    def pair(self, first: str = "", second: str = "") -> tuple[str, str]:
        """Choose two systems; "" = the first other one. Raises BadInput if there are not two."""
        for name in filter(None, (first, second)):
            next(self.outputs(name), None)
        rest = [name for name in self.systems if name not in (first, second)]
        made = first or (rest.pop(0) if rest else ""), second or (rest.pop(0) if rest else "")
        if not all(made) or made[0] == made[1]:
            raise BadInput(f"A comparison needs two systems. This run has {', '.join(self.systems)}.")
        return made

    def system(self, name: str = "") -> str:
        """Check a system's name; "" = the first system that wrote text."""
        if name:
            next(self.outputs(name), None)
            return name
        writers = (row.system for row in self.predictions if row.text is not None and row.system in self.systems)
        return next(writers, self.systems[0])


def open_results(folder: str | Path = "", settings: Settings | None = None) -> Results:
    """Open the run of a folder, or the newest run with predictions. Missing or outdated scores are computed."""
    run = resume(Path(folder) if folder else newest(), settings or settings_near())
    rows = read(run.predictions)
    if not rows:
        raise BadInput(f"The run at {run.folder} has no predictions yet. Continue it with stt-lab eval --resume.")
    return Results(run, _scores(run), rows)


def _scores(run: Run) -> Mapping[str, Any]:
    path = run.folder / SCORES
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        current = path.stat().st_mtime >= run.predictions.stat().st_mtime  # otherwise the run was continued since
    except (OSError, ValueError):
        return score(run)
    return found if current else score(run)


def settings_near() -> Settings:
    """Return settings for a notebook: a relative speech_dir is also searched for in parent folders."""
    settings, here = get_settings(), Path.cwd()
    places = (above / settings.speech_dir for above in (here, *here.parents))
    found = next((place for place in places if place.is_dir()), settings.speech_dir)
    return settings.model_copy(update={"speech_dir": found})


def newest() -> Path:
    """Return the most recently written run in eval/runs of this folder or a parent."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        found = [path for path in (folder / RUNS).glob(f"*/{PREDICTIONS}") if path.with_name(SUITE).exists()]
        if found:
            return max(found, key=lambda path: path.stat().st_mtime).parent
    raise MissingFile(f"No run was found in {RUNS}. Make one with `stt-lab eval quick`, or pass the folder of a run.")
