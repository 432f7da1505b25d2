"""Recordings of one's own in one go, for notebook 08: import, check, evaluate."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from stt_lab.errors import BadInput, MissingFile
from stt_lab.lab.data.dataset import MANIFEST, Dataset, check, read_manifest
from stt_lab.lab.data.importers import ImportOptions, import_dataset
from stt_lab.lab.runs import runner
from stt_lab.lab.runs.progress import Line
from stt_lab.lab.runs.suite import Suite, read_system
from stt_lab.lab.scoring import scores
from stt_lab.lab.scoring.measures import voices
from stt_lab.lab.scoring.results import Results, open_results
from stt_lab.settings import get_settings
from stt_lab.text import language_code


def load(recordings: str, target: str, language: str = "") -> Dataset:
    """The dataset of a folder: its manifest, or one that is written to `target` from audio with .txt beside it."""
    if not recordings:
        raise BadInput("Name the folder of your recordings: set `recordings`.")
    folder = Path(recordings).expanduser()
    if not folder.is_dir():
        raise MissingFile(f"There is no folder {recordings}: set `recordings` to one with audio and .txt files.")
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)
    place = Path(target) / f"data-{datetime.now():%Y%m%d-%H%M%S}"
    made = import_dataset(
        "folder", folder, place, ImportOptions(language=language_code(language) if language else None)
    )
    if all(item.text is None and item.segments is None and item.turns is None for item in made.items):
        first = made.items[0].audio
        raise BadInput(
            f"Nothing says what is said in {first.name}: write it into {first.stem}.txt, in the same folder."
        )
    return made


def overview(dataset: Dataset) -> Any:
    """How many recordings there are, and with which references."""
    rows = [
        {
            "language": item.language or "unknown",
            "kind": item.kind,
            "with text": bool(item.text),
            "with speakers": voices(item) > 1,
        }
        for item in dataset.items
    ]
    grouped = pd.DataFrame(rows).groupby(["language", "kind"])
    return grouped.sum().assign(recordings=grouped.size()).reset_index()


def problems(dataset: Dataset) -> Any:
    """A row for each thing that is wrong with the dataset."""
    found = check(dataset.folder, decode=True)
    rows = [(one.id or "the whole", one.what, one.fix) for one in found] or [("all", "nothing is wrong", "")]
    return pd.DataFrame(rows, columns=["recording", "what", "how to fix it"])


def evaluate(dataset: Dataset, models: str, target: str, limit: int = 0) -> Results:
    """Our engine with each of the models over the recordings; the run is a folder in `target`."""
    language = "known" if all(item.language for item in dataset.items) else "auto"
    names = [name.strip() for name in models.split(",") if name.strip()]
    rows = {name: {"engine": "stt_lab", "model": name, "language": language} for name in names}
    entries = tuple(read_system(name, row) for name, row in rows.items())
    if not entries:
        raise BadInput("Name a model: set `models`, such as base.")
    suite = Suite(name="own", dataset=str(dataset.folder), systems=entries, limit=limit)
    settings = get_settings()
    run = runner.create(suite, Path(target), settings, Path())
    with Line() as line:
        runner.predict(run, settings, line)
    scores.score(run)
    return open_results(run.folder)
