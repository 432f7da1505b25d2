"""What tests use beside Python packages of their own: where one is missing they skip, and in CI they fail."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from typing import NoReturn

import pytest

COMPLETE = "TESTS_COMPLETE"  # set by .ci/run; GitHub and others set CI. With STT_LAB_ it would be taken for a setting
PROGRAMS = {
    "chromium": "Debian's chromium is not installed",
    "curl": "curl is not installed",
    "node": "Node.js is not installed",
    "npm": "npm is not installed",
    "setpriv": "setpriv (util-linux) is not installed, and PostgreSQL does not run as root",
}
MODULES = {
    "axe_playwright_python": "the Python package axe-playwright-python is not installed (the extra dev)",
    "playwright": "the Python package playwright is not installed (the extra dev)",
    "psycopg": "the Python package psycopg is not installed (the extra postgres)",
    "pysubs2": "the Python package pysubs2 is not installed (the extra dev)",
    "ray": "the Python package ray is not installed (the extra ray)",
}


def needs(*names: str) -> None:
    """Skip the test, or the module that is being read, unless these are here; in CI it fails."""
    for name in names:
        if name == "ray" and sys.version_info >= (3, 14):
            pytest.skip("Ray has no wheels for this Python yet", allow_module_level=True)
        here = shutil.which(name) if name in PROGRAMS else importlib.util.find_spec(name)
        if here is None:
            missing((PROGRAMS | MODULES)[name])


def missing(what: str) -> NoReturn:
    """Skip what cannot be tested here; in CI it fails."""
    if complete():
        pytest.fail(f"{what}, and nothing may be missing where CI or {COMPLETE} is set.", pytrace=False)
    pytest.skip(what, allow_module_level=True)


def complete() -> bool:
    """Whether nothing may be missing."""
    return any(os.environ.get(name, "").lower() not in ("", "0", "false") for name in ("CI", COMPLETE))
