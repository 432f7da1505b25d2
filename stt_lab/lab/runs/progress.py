"""Show the progress of a run on the command line."""

from __future__ import annotations

import sys
from typing import Any

from stt_lab.lab.runs.runner import RunProgress


class Line:
    """Prints progress: a bar on a terminal, otherwise a line per 10 %."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown = -1

    def __call__(self, now: RunProgress) -> None:
        what = f"{now.system} {now.item}".strip()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = self._bar or tqdm(total=now.total, initial=now.done, unit="row", leave=False)
            self._bar.set_description(f"{what[:60]}{f' ({now.failed} failed)' if now.failed else ''}", refresh=False)
            self._bar.update(now.done - self._bar.n)
        elif (tenth := 10 * now.done // max(1, now.total)) != self._shown:
            self._shown = tenth
            print(f"{now.done} of {now.total}, {now.failed} failed: {what or 'done'}", file=sys.stderr, flush=True)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bar is not None:
            self._bar.close()
