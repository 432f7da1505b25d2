"""Render the Lab tab as HTML. All names, words and messages go through `escape`."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from stt_lab.accounts.access import SIGN_IN_PATH
from stt_lab.lab.runs.choices import DatasetFacts, SystemChoice
from stt_lab.lab.runs.evaluations import EvaluationStatus
from stt_lab.lab.scoring import leaderboard
from stt_lab.lab.scoring.scores import NAMES
from stt_lab.text import LANGUAGES, clock
from stt_lab.ui.html import notice

if TYPE_CHECKING:
    from stt_lab.lab.report.pictures import Picture
    from stt_lab.lab.scoring.mistakes import Mistakes

SIGN_IN = f'<a href="{SIGN_IN_PATH.lstrip("/")}">sign in</a>'
GATE = (
    f'<div class="stt-notice" role="status">Only the administrator can use the laboratory. Please {SIGN_IN} '
    "with the administrator's key, or open the address that the server printed at its first start.</div>"
)
EMPTY = (
    '<div class="stt-empty"><p>The results of a run appear here.</p>'
    "<p>Choose a dataset and systems, then press Run. Or choose a stored run.</p></div>"
)
HOW_TO_UPLOAD = (
    '<p class="lab-note">Upload recordings with their reference texts: talk.wav and talk.txt. Files such as .srt, '
    ".vtt, .rttm, .stm and .TextGrid add times and speakers. A .zip with all files also works.</p>"
)
NO_BOARDS = '<div class="stt-empty"><p>No stored run has scores. Run an evaluation first.</p></div>'
LANGUAGES_SHOWN = 6
INTERVAL = re.compile(r"([\d.]+) \(([\d.]+–[\d.]+)\)")


# Before a run


def facts(found: DatasetFacts) -> str:
    """Render the size of a dataset, and what can be scored on it."""
    parts = [counted(found.recordings, "recording")]
    parts += [clock(found.seconds)] if found.seconds is not None else []
    parts += [_languages(found.languages)]
    parts += [f"{found.words} with text"] if found.words else []
    parts += [f"{found.speakers} with speakers"] if found.speakers else []
    parts += [f"{found.silent} without speech"] if found.silent else []
    if not (found.words or found.speakers or found.silent):
        parts += ["no references: only speed can be measured"]
    return f'<ul class="stt-facts">{"".join(f"<li>{escape(fact)}</li>" for fact in parts)}</ul>'


def counted(count: int, what: str) -> str:
    """Format a count with its noun in the right number."""
    return f"{count} {what}{'s' * (count != 1)}"


def _languages(counts: Mapping[str, int]) -> str:
    names = [LANGUAGES.get(code, code).title() if code else "language unknown" for code in counts]
    more = len(names) - LANGUAGES_SHOWN
    return ", ".join(names[:LANGUAGES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def lacking(choices: Iterable[SystemChoice]) -> str:
    """Render the systems that cannot run here, with reasons."""
    rows = [f"<li><b>{escape(one.entry.name)}</b> {escape(one.lacks)}</li>" for one in choices if one.lacks]
    if not rows:
        return ""
    systems = "1 system is" if len(rows) == 1 else f"{len(rows)} systems are"
    summary = f"<summary>{systems} not available here</summary>"
    return f'<details class="lab-lacking">{summary}<ul>{"".join(rows)}</ul></details>'


# While it runs


def progress(status: EvaluationStatus) -> str:
    """Render the progress of a run: current system and recording, rows done, time left."""
    now = status.progress
    fraction = now.done / now.total if now.total else 0.0
    failed = f" · {now.failed} failed" if now.failed else ""
    left = f"about {clock(status.left_s)} left" if status.left_s is not None else ""
    return (
        '<div class="stt-stages" role="status"><div class="stt-steps"><div class="stt-step active">'
        f'<i style="--filled:{fraction:.3f}"></i></div></div>'
        f'<div class="stt-now"><span><b>{now.done} of {now.total}</b>{failed}</span><span>{left}</span></div>'
        f'<div class="lab-now">{escape(_doing(status))}</div></div>'
    )


def _doing(status: EvaluationStatus) -> str:
    now = status.progress
    if status.phase == "scoring":
        return "Scoring …"
    if status.phase == "stopping":
        return "Cancelling …"
    if status.waiting:
        return "Waiting for the device, which a user occupies …"
    if not now.system:
        return "Starting …"
    return f"{now.system}: {now.item}" if now.item else f"{now.system}: loading …"


def ended(status: EvaluationStatus) -> str:
    """Render how a run ended."""
    now = status.progress
    if status.phase == "done":
        failed = f", with {counted(now.failed, 'failure')}" if now.failed else ""
        return notice(f"{status.run} is done{failed}.", "done")
    if status.phase == "cancelled":
        return notice(f"{status.run} was cancelled at {now.done} of {now.total}. Press Resume to continue.", "warning")
    return notice(status.problem, "error")


# A stored run


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Render a table whose first column names its rows; it scrolls on narrow pages."""
    head = "".join(f'<th scope="col">{escape(one[:1].upper() + one[1:])}</th>' for one in heads)
    body = "".join(_row(row) for row in rows)
    return (
        f'<div class="stt-scroll lab-scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="stt-models lab-table"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[object]) -> str:
    first, *rest = map(str, cells)
    return f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{_cell(cell)}</td>" for cell in rest)}</tr>'


def _cell(text: str) -> str:
    """Render a cell; the interval of a rate goes below it, which halves the width of a table."""
    found = INTERVAL.fullmatch(text)
    return f"{found[1]}<br><small>{found[2]}</small>" if found else escape(text)


def failures(found: Iterable[tuple[str, str, str]]) -> str:
    """Render failures as (system, recording, reason)."""
    rows = list(found)
    if not rows:
        return ""
    shown = table("Failures, excluded from all rates", ("System", "Recording", "Reason"), rows)
    return f'<details class="lab-lacking"><summary>{counted(len(rows), "failure")}</summary>{shown}</details>'


def figures(found: Iterable[Picture]) -> str:
    """Embed pictures in the page, so that none is stored on the server."""
    return "".join(
        f'<figure class="lab-figure" role="group" tabindex="0" aria-label="{escape(one.alt.partition(".")[0])}">'
        f'<img alt="{escape(one.alt)}" width="{one.width}" src="data:image/png;base64,'
        f'{base64.b64encode(one.png).decode()}"></figure>'
        for one in found
    )


def links(files: Iterable[tuple[str, str, str]]) -> str:
    """Render download links from (label, address, file name)."""
    made = "".join(
        f'<a class="stt-button" href="{escape(address)}" download="{escape(name)}">{escape(what)}</a>'
        for what, address, name in files
    )
    return f'<div class="stt-downloads" role="group" aria-label="Downloads">{made}</div>' if made else ""


def mistakes(found: Iterable[tuple[Mistakes, str]], legend: str) -> str:
    """Render aligned words of recordings, each with the address of its audio; "" if there is none."""
    rows = [
        f'<li class="lab-mistake"><p>{one.about}</p>{_player(one.item.id, address)}'
        f'<p class="stt-words" dir="auto">{one.marked}</p></li>'
        for one, address in found
    ]
    if not rows:
        return notice("No recording of this run has a reference text.")
    return f'{legend}<ol class="lab-mistakes">{"".join(rows)}</ol>'


def _player(name: str, address: str) -> str:
    if not address:
        return '<p class="stt-silent">(This recording is missing, or too large to play here.)</p>'
    return f'<audio controls preload="none" src="{escape(address)}" aria-label="{escape(name)}"></audio>'


# The leaderboard


def board_name(board: leaderboard.Board) -> str:
    """Label a dataset in a list."""
    return f"{board.dataset} ({counted(board.size, 'recording')}, {board.digest[:8]})"


def rule_name(board: leaderboard.Board) -> str:
    """Label a measure and its rule in a list."""
    return ", ".join(filter(None, (NAMES[board.measure], board.rule)))


def board(found: leaderboard.Board, rows: Sequence[leaderboard.LeaderboardRow]) -> str:
    """Render the table of one board, best first."""
    heads = ("System", "Rank", NAMES[found.measure], *leaderboard.HEADS[3:], "machine")
    note = "Intervals are 95 %, bootstrapped by recording. RTFx and memory depend on the run's machine."
    if rows[-1].rank is None:
        note += " Systems without a rank were scored over fewer recordings."
    caption = f"{board_name(found)}: {rule_name(found)}"
    return f'{table(caption, heads, map(_standing, rows))}<p class="lab-note">{note}</p>'


def _standing(row: leaderboard.LeaderboardRow) -> tuple[str, ...]:
    rank, system, *rest = leaderboard.cells(row)
    return system, rank, *rest, _machine(row)


def _machine(row: leaderboard.LeaderboardRow) -> str:
    known = row.provenance
    threads = counted(known["threads"], "thread") if "threads" in known else None
    return ", ".join(str(part) for part in (known.get("processor"), known.get("device"), threads) if part)
