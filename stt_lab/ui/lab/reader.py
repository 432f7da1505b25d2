"""Read stored runs for the page: tables, figures, word errors with audio, and downloads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stt_lab.errors import BadInput
from stt_lab.lab.report import report_process
from stt_lab.lab.runs import runner
from stt_lab.lab.runs.evaluations import Evaluations
from stt_lab.ui.html import notice
from stt_lab.ui.lab import html
from stt_lab.ui.lab.gate import PageShelf

if TYPE_CHECKING:
    from stt_lab.lab.scoring.results import Results

MOST = 20  # maximum recordings with word errors on the page


@dataclass(frozen=True)
class RunView:
    """A stored run as the page shows it."""

    body: str  # HTML
    systems: tuple[str, ...]  # with text
    left: int  # missing predictions
    has_predictions: bool = True  # without any there is no report


class RunReader:
    """Opens stored runs, and caches the last one."""

    def __init__(self, lab: Evaluations) -> None:
        self._lab = lab
        self._lock = threading.Lock()
        self._kept: tuple[tuple[str, int], Results, str] | None = None  # name and modification time, results, HTML

    def show(self, name: str, shelf: PageShelf) -> RunView:
        """Open a run. Raises BadInput if it is in progress or its recordings have changed."""
        self._check(name)
        run = self._lab.resume(name)
        left = runner.missing(run)
        if not run.predictions.exists():
            return RunView(
                notice(f"{name} has no predictions yet. Press Resume to continue."), (), left, has_predictions=False
            )
        results, body = self._open(name)
        writers = {row.system for row in results.predictions if row.text is not None}
        systems = tuple(system for system in results.systems if system in writers)
        plain = json.dumps(results.scores, ensure_ascii=False, indent=1).encode()
        links = html.links([_link("Scores (JSON)", f"{name}.json", plain, shelf)])
        return RunView(links + body, systems, left)

    def _check(self, name: str) -> None:
        last = self._lab.last
        if self._lab.busy and last is not None and last.run.folder.name == name:
            raise BadInput("This run is in progress. Its results appear when it ends.")

    def _open(self, name: str) -> tuple[Results, str]:
        from stt_lab.lab.scoring.results import open_results

        self._check(name)
        folder = self._lab.stored(name)
        with self._lock:
            modified = _modified(folder)
            if self._kept is None or self._kept[0] != (name, modified):
                results = open_results(folder, self._lab.settings)
                self._kept = (name, modified), results, _body(results)
            return self._kept[1:]

    def mistakes(self, name: str, system: str, most: int, shelf: PageShelf) -> str:
        """Render the recordings with the highest WER of a system, with audio."""
        from stt_lab.lab.scoring.mistakes import LEGEND, worst

        results, _ = self._open(name)
        found = list(worst(results, system, max(1, min(most, MOST))))
        return html.mistakes([(one, shelf.lend(one.item.audio)) for one in found], LEGEND)

    def report(self, name: str, shelf: PageShelf, alive: Callable[[], None]) -> str:
        """Make the report of a run; return links to notebook and page."""
        made = report_process.report(self._lab.stored(name), self._lab.settings, alive)
        whats = ("Report (notebook)", "Report (HTML)")
        files = [
            _link(what, f"{name}{path.suffix}", path.read_bytes(), shelf)
            for what, path in zip(whats, made, strict=True)
        ]
        return html.links(files)


def _modified(folder: Path) -> int:
    """Return the modification time of a run in nanoseconds."""
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


def _link(what: str, name: str, content: bytes, shelf: PageShelf) -> tuple[str, str, str]:
    return what, shelf.put(name, content), name
