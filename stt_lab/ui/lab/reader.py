"""Stored runs, read for the page: tables and pictures, mistakes with their sound, files to download."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stt_lab.errors import BadInput
from stt_lab.lab.report import report_process
from stt_lab.lab.runs import runner
from stt_lab.lab.runs.evaluations import Evaluations
from stt_lab.ui.html import notice
from stt_lab.ui.lab import html
from stt_lab.ui.work import handed_out, lent

if TYPE_CHECKING:
    from stt_lab.lab.scoring.results import Results

MOST = 20  # recordings whose mistakes are shown at once

Keep = Callable[[Path], None]  # told of each file that is lent to a visitor


@dataclass(frozen=True)
class RunView:
    """What the page shows of a run."""

    body: str  # HTML
    systems: tuple[str, ...]  # that wrote words
    left: int  # rows that it lacks
    has_predictions: bool = True  # without any there is no report


class RunReader:
    """Opens stored runs, and keeps the one that was opened last."""

    def __init__(self, lab: Evaluations) -> None:
        self._lab = lab
        self._lock = threading.Lock()
        self._kept: tuple[tuple[str, int], Results, str] | None = None  # name and age, run, HTML

    def show(self, name: str, keep: Keep) -> RunView:
        """Raises BadInput for a run that is going on, or whose recordings have changed."""
        self._check(name)
        run = self._lab.resume(name)
        left = runner.missing(run)
        if not run.predictions.exists():
            return RunView(
                notice(f"{name} has heard nothing yet: Resume goes on with it."), (), left, has_predictions=False
            )
        results, body = self._open(name)
        writers = {row.system for row in results.predictions if row.text is not None}
        systems = tuple(system for system in results.systems if system in writers)
        plain = json.dumps(results.scores, ensure_ascii=False, indent=1).encode()
        links = html.links([_link("Scores (JSON)", f"{name}.json", plain, keep)])
        return RunView(links + body, systems, left)

    def _check(self, name: str) -> None:
        last = self._lab.last
        if self._lab.busy and last is not None and last.run.folder.name == name:
            raise BadInput("This run is going on: its results come when it has ended.")

    def _open(self, name: str) -> tuple[Results, str]:
        from stt_lab.lab.scoring.results import open_results

        self._check(name)
        folder = self._lab.stored(name)
        with self._lock:
            age = _age(folder)
            if self._kept is None or self._kept[0] != (name, age):
                results = open_results(folder, self._lab.settings)
                self._kept = (name, age), results, _body(results)
            return self._kept[1:]

    def mistakes(self, name: str, system: str, most: int, keep: Keep) -> str:
        """The recordings with the highest WER of a system, to read and to hear."""
        from stt_lab.lab.scoring.mistakes import LEGEND, worst

        results, _ = self._open(name)
        found = list(worst(results, system, max(1, min(most, MOST))))
        return html.mistakes([(one, _heard(one.item.audio, keep)) for one in found], LEGEND)

    def report(self, name: str, keep: Keep, alive: Callable[[], None]) -> str:
        """The notebook and the page of a run, as links."""
        made = report_process.report(self._lab.stored(name), self._lab.settings, alive)
        whats = ("Report (notebook)", "Report (HTML)")
        files = [
            _link(what, f"{name}{path.suffix}", path.read_bytes(), keep) for what, path in zip(whats, made, strict=True)
        ]
        return html.links(files)


def _age(folder: Path) -> int:
    """When the run was written to."""
    return max(
        path.stat().st_mtime_ns for path in (folder / runner.SUITE, folder / runner.PREDICTIONS) if path.exists()
    )


def _body(results: Results) -> str:
    from stt_lab.lab.report import tables
    from stt_lab.lab.report.pictures import pictures

    turned = tables.systems(results).T
    rows = [(system, *row) for system, row in zip(turned.index, turned.to_numpy().tolist(), strict=True)]
    data = results.scores["dataset"]
    caption = (
        f"{data['name']}, {data['recordings']} recordings; normaliser {results.scores['normaliser']}; 95 % intervals"
    )
    failed = [
        (system, item, why) for system, one in results.scores["systems"].items() for item, why in one["failed"].items()
    ]
    shown = html.table(caption, ("System", *map(str, turned.columns)), rows)
    return shown + html.failures(failed) + html.figures(pictures(results))


def _link(what: str, name: str, content: bytes, keep: Keep) -> tuple[str, str, str]:
    file = handed_out(name, [content])
    keep(Path(file["path"]))
    return what, address(file["path"]), name


def _heard(audio: Path, keep: Keep) -> str:
    """The address of a recording; "" where it cannot be lent."""
    path = lent(audio)
    if path is None:
        return ""
    keep(path)
    return address(path)


def address(path: Any) -> str:
    return f"gradio_api/file={quote(str(path))}"
