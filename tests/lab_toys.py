"""Runs of the laboratory that are made up: a dataset without audio, and predictions that no system made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stt_lab.lab.data.annotations import Annotation, read_annotation
from stt_lab.lab.data.importers import ImportOptions, import_dataset
from stt_lab.lab.data.items import Item
from stt_lab.lab.data.uploaded import UploadLimits, add_dataset
from stt_lab.lab.runs import runner
from stt_lab.lab.runs.predictions import Prediction, append
from stt_lab.lab.runs.suite import read_dict
from stt_lab.lab.scoring import scores
from stt_lab.lab.scoring.results import Results, open_results
from stt_lab.settings import get_settings

Row = Mapping[str, Any]


def manifest(folder: Path, rows: Iterable[Row]) -> Path:
    """Write a dataset; audio is named after the id and does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"audio": f"{row['id']}.wav", **row}, ensure_ascii=False) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text("".join(lines), "utf-8")
    return folder


def made_run(folder: Path, rows: Iterable[Row], predictions: Iterable[Prediction], **suite: Any) -> runner.Run:
    """Store a run of the systems that the predictions name."""
    found = list(predictions)
    names = suite.pop("names", None) or list(dict.fromkeys(one.system for one in found))
    systems = [{"name": name, "engine": "stt_lab", "model": "echo"} for name in names]
    speech = manifest(folder / "speech", rows)
    made = read_dict({"name": "toy", "dataset": str(speech), "systems": systems, **suite})
    run = runner.create(made, folder / "runs", get_settings(), folder, "toy")
    for one in found:
        append(run.predictions, one)
    return run


def made_results(folder: Path, rows: Iterable[Row], predictions: Iterable[Prediction], **suite: Any) -> Results:
    """Store, score and open a run."""
    run = made_run(folder, rows, predictions, **suite)
    scores.score(run)
    return open_results(run.folder)


def said(system: str, item: str, text: str | None, duration: float = 10.0, **more: Any) -> Prediction:
    """A prediction that took a second, unless `more` says otherwise."""
    return Prediction(system, item, duration, text, **{"language": "en", "seconds": 1.0, **more})


# Datasets in files


def put(path: Path, text: str | bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def imported(kind: str, origin: Path, target: Path, **more: Any) -> list[Item]:
    return list(import_dataset(kind, origin, target, ImportOptions(**more)).items)


def read(tmp_path: Path, name: str, text: str | bytes, *recordings: str) -> Annotation:
    return read_annotation(put(tmp_path / name, text), name, recordings or (Path(name).stem,))


def add(tmp_path: Path, *given: tuple[str, str | bytes], files: int = 10, size: int = 1000) -> Any:
    paths = [(name, put(tmp_path / f"sent/{n}", content)) for n, (name, content) in enumerate(given)]
    return add_dataset(tmp_path / "sets", "mine", paths, ImportOptions(), UploadLimits(size, files))
