"""Add the command `stt-lab eval`; `stt-lab data` is in cli/data.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_lab.cli.data import add_data
from stt_lab.errors import BadInput, MissingFile
from stt_lab.settings import get_settings

if TYPE_CHECKING:
    from stt_lab.lab.runs.runner import Run
    from stt_lab.lab.runs.suite import Suite

SUITES, RUNS = Path("eval/suites.toml"), Path("eval/runs")


def add_eval(command: argparse.ArgumentParser) -> None:
    command.add_argument("suite", nargs="?", metavar="SUITE", help="Name of a suite in the suites file")
    command.add_argument("--suites", type=Path, default=SUITES, help=f"Suites file (default: {SUITES})")
    command.add_argument("--dataset", type=Path, help="Use your own recordings: a manifest or its folder")
    command.add_argument("--systems", help="Run only these systems of the suite, comma-separated")
    command.add_argument("--limit", type=int, help="Maximum number of recordings")
    command.add_argument("--runs", type=Path, default=RUNS, help=f"Folder of runs (default: {RUNS})")
    command.add_argument("--name", default="", help="Name of the run's folder (default: suite and time)")
    command.add_argument("--resume", type=Path, metavar="FOLDER", help="Continue a run that was stopped")
    command.add_argument("--score-only", type=Path, metavar="FOLDER", help="Score a run again, without decoding")
    command.add_argument("--report", type=Path, metavar="FOLDER", help="Make the report of a stored run again")
    command.add_argument("--notebook", default="", help="Notebook for --report, such as 07 (default: the report)")
    command.add_argument(
        "--set", dest="pairs", action="append", default=[], metavar="NAME=VALUE", help="Parameter of the notebook"
    )
    command.add_argument("--leaderboard", action="store_true", help="Rank the systems of all stored runs")
    command.add_argument("--no-report", dest="page", action="store_false", help="Print the scores, but make no report")
    command.set_defaults(run=_eval)


def _eval(report: Path | None, notebook: str, pairs: list[str], page: bool, leaderboard: bool, **options: Any) -> int:
    chosen = (options["suite"], options["resume"], options["score_only"], report, leaderboard or None)
    if sum(value is not None for value in chosen) != 1:
        raise BadInput("Pass exactly one of SUITE, --resume, --score-only, --report and --leaderboard.")
    if leaderboard:
        return _leaderboard(options["runs"])
    if report is not None:
        return _report(report, notebook, pairs)
    if notebook or pairs:
        raise BadInput("--notebook and --set need --report FOLDER. Add it, or remove them.")
    return _run(page=page, **options)


def _leaderboard(runs: Path) -> int:
    from stt_lab.lab.scoring.leaderboard import boards, read, table

    found = boards(read(runs))
    if not found:
        raise MissingFile(f"No run in {runs} has scores. Make one with `stt-lab eval quick`, or pass another --runs.")
    print(table(found))
    return 0


def _report(folder: Path, name: str, pairs: list[str]) -> int:
    from stt_lab.lab.report import notebooks

    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise BadInput(f"--set cannot be {wrong[0]!r}. Write NAME=VALUE, such as most=3.")
    path = notebooks.find(name or notebooks.REPORT)
    values = notebooks.from_text(path, dict(pair.split("=", 1) for pair in pairs))
    print(notebooks.report(folder, path.stem, values))
    return 0


def _run(resume: Path | None, score_only: Path | None, page: bool, **options: Any) -> int:
    from stt_lab.lab.runs import runner
    from stt_lab.lab.scoring import scores

    settings = get_settings()
    folder = resume or score_only
    run = runner.resume(folder, settings) if folder else _create(**options)
    if score_only is None:
        _predict(run)
    print(scores.table(scores.score(run)))
    print(run.folder, flush=True)
    if page and score_only is None:
        from stt_lab.lab.report import notebooks

        print(notebooks.report(run.folder))
    return 0


def _create(
    suite: str,
    suites: Path,
    dataset: Path | None,
    systems: str | None,
    limit: int | None,
    runs: Path,
    name: str,
) -> Run:
    from stt_lab.lab.runs import runner
    from stt_lab.lab.runs.suite import own_dataset, read_suites

    known = read_suites(suites)
    if suite not in known:
        raise BadInput(f"{suites} has no suite {suite!r}. Choose from {', '.join(known)}.")
    chosen = _narrowed(known[suite], systems, limit)
    if dataset is not None:
        chosen = own_dataset(chosen, dataset)
    return runner.create(chosen, runs, get_settings(), suites.parent, name)


def _narrowed(suite: Suite, systems: str | None, limit: int | None) -> Suite:
    from dataclasses import replace

    if limit is not None and limit < 1:
        raise BadInput(f"--limit cannot be {limit}. Use 1 or more.")
    made = suite if limit is None else replace(suite, limit=limit)
    return made.with_systems([name.strip() for name in systems.split(",")]) if systems else made


def _predict(run: Run) -> None:
    from stt_lab.lab.runs import runner
    from stt_lab.lab.runs.progress import Line

    with Line() as line:
        try:
            runner.predict(run, get_settings(), line)
        except (KeyboardInterrupt, SystemExit):
            print(f"\nStopped. Continue with: stt-lab eval --resume {run.folder}", file=sys.stderr)
            raise


HELP = {
    "eval": "Run or resume a suite of evaluations, and score it.",
    "data": "Check a dataset, or import one from another layout.",
}
GROUPS = {"eval": add_eval, "data": add_data}
