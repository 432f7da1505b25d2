"""Import, check and evaluate your own recordings, for notebook 08."""

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
    """Read a folder's manifest, or write one to `target` from audio with .txt files."""
    if not recordings:
        raise BadInput("No folder is set. Set `recordings` to the folder of your recordings.")
    folder = Path(recordings).expanduser()
    if not folder.is_dir():
        raise MissingFile(
            f"The folder {recordings} does not exist. Set `recordings` to a folder with audio and .txt files."
        )
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)
    place = Path(target) / f"data-{datetime.now():%Y%m%d-%H%M%S}"
    made = import_dataset(
        "folder", folder, place, ImportOptions(language=language_code(language) if language else None)
    )
    if all(item.text is None and item.segments is None and item.turns is None for item in made.items):
        first = made.items[0].audio
        raise BadInput(
            f"No recording has a reference. Write the text of {first.name} to {first.stem}.txt, in the same folder."
        )
    return made


def overview(dataset: Dataset) -> Any:
    """Count recordings and their references by language and kind."""
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
    """List the problems of a dataset, a row each."""
    found = check(dataset.folder, decode=True)
    rows = [(one.id or "manifest", one.what, one.fix) for one in found] or [("all", "no problems", "")]
    return pd.DataFrame(rows, columns=["recording", "problem", "how to fix it"])


def evaluate(dataset: Dataset, models: str, target: str, limit: int = 0) -> Results:
    """Run our engine with each model over the recordings, as a run in `target`."""
    language = "known" if all(item.language for item in dataset.items) else "auto"
    names = [name.strip() for name in models.split(",") if name.strip()]
    rows = {name: {"engine": "stt_lab", "model": name, "language": language} for name in names}
    entries = tuple(read_system(name, row) for name, row in rows.items())
    if not entries:
        raise BadInput("No model is set. Set `models`, for example to base.")
    suite = Suite(name="own", dataset=str(dataset.folder), systems=entries, limit=limit)
    settings = get_settings()
    run = runner.create(suite, Path(target), settings, Path())
    with Line() as line:
        runner.predict(run, settings, line)
    scores.score(run)
    return open_results(run.folder)
