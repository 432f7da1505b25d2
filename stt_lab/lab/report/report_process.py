"""Make the report of a run in a child process, to keep Jupyter's libraries and files out of the server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from stt_lab.child import clean_environ
from stt_lab.engines.hosts import LIBRARIES
from stt_lab.errors import SttError, Unavailable
from stt_lab.settings import PREFIX, Settings

POLL_S = 0.25
LONGEST_S = 1800.0
PLACES = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR")


def report(folder: Path, settings: Settings, alive: Callable[[], None] = lambda: None) -> tuple[Path, Path]:
    """Make report.ipynb and report.html in a run's folder. `alive` may raise, which kills the process.

    The process works in that folder, so that the notebook contains no absolute path.
    """
    command = [sys.executable, "-P", "-m", "stt_lab", "eval", "--report", "."]
    with tempfile.TemporaryDirectory(prefix="stt_lab-") as scratch, tempfile.TemporaryFile() as said:
        environ = _environ(settings, scratch)
        with subprocess.Popen(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        ) as process:
            try:
                _wait(process, alive)
            except BaseException:
                _end(process)
                raise
            finally:
                _sweep(folder)
        if process.returncode:
            said.seek(0)
            raise _failed(said.read().decode("utf-8", "replace"))
    return folder / "report.ipynb", folder / "report.html"


def _environ(settings: Settings, scratch: str) -> dict[str, str]:
    """Return an environment for Python and its libraries, without secrets, with temporary folders."""
    places = dict.fromkeys(PLACES, scratch)
    speech = {f"{PREFIX}SPEECH_DIR": str(settings.speech_dir.absolute())}
    return clean_environ(*LIBRARIES) | places | speech


def _wait(process: subprocess.Popen[bytes], alive: Callable[[], None]) -> None:
    for _ in range(int(LONGEST_S / POLL_S)):
        try:
            process.wait(POLL_S)
            return
        except subprocess.TimeoutExpired:
            alive()
    raise Unavailable("The report took too long. Make it with `stt-lab eval --report`.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process; its kernel then exits by itself."""
    process.kill()
    process.wait()


def _sweep(folder: Path) -> None:
    """Remove sockets left by a kernel that was killed."""
    for left in folder.glob("kernel-ipc-*"):
        left.unlink(missing_ok=True)


def _failed(said: str) -> SttError:
    lines = [line.removeprefix("stt-lab: ") for line in said.splitlines() if line.startswith("stt-lab: ")]
    return Unavailable(lines[-1] if lines else "The report failed. Run `stt-lab eval --report` to see why.")
