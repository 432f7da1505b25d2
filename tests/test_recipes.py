"""The recipes of docs/architecture.md, followed: what they promise is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

OPERATION = """
from typing import Annotated

from pydantic import Field

from stt_lab.registry import operation


@operation("POST", "/v1/shout", scope="text")
def shout(text: Annotated[str, Field(description="Input text")], times: int = 1) -> dict[str, str]:
    \"\"\"Say a text in capitals.\"\"\"
    return {"shouted": " ".join([text.upper()] * times)}
"""
SURFACES = """
import json, sys
import stt_lab
from stt_lab import ui
from stt_lab.cli import main
from stt_lab.server import compose, create_app
from stt_lab.settings import get_settings

installation = compose(get_settings())
app = create_app(installation)
endpoints = ui.build(installation).get_api_info()["named_endpoints"]
installation.close()
print(json.dumps({
    "python": stt_lab.shout("hi", times=2),
    "http": sorted(app.openapi()["paths"]["/v1/shout"]),
    "gradio": [one["parameter_name"] for one in endpoints["/shout"]["parameters"]],
}))
sys.exit(main(["shout", "hello"]))
"""


def test_an_operation_takes_two_files_and_is_on_all_surfaces(tmp_path: Path) -> None:
    package = tmp_path / "code" / "stt_lab"
    shutil.copytree(ROOT / "stt_lab", package, ignore=shutil.ignore_patterns("__pycache__"))
    before = {path: path.read_bytes() for path in package.rglob("*") if path.is_file()}
    (package / "operations" / "shout.py").write_text(OPERATION, "utf-8")
    rooms = package / "operations" / "__init__.py"
    plain = rooms.read_text("utf-8")
    rooms.write_text(
        plain.replace("# isort: on", "from stt_lab.operations.shout import shout").replace(
            '"usage",', '"usage",\n    "shout",'
        ),
        "utf-8",
    )
    changed = [path for path in package.rglob("*") if path.is_file() and before.get(path) != path.read_bytes()]
    assert sorted(path.name for path in changed) == ["__init__.py", "shout.py"]

    environ = os.environ | {"PYTHONPATH": str(package.parent), "STT_LAB_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-c", SURFACES]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("\n")
    assert json.loads(first) == {"python": {"shouted": "HI HI"}, "http": ["post"], "gradio": ["text", "times"]}
    assert json.loads(rest) == {"shouted": "HELLO"}


def test_the_architecture_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = {word.strip("`.,;:()") for word in page.split() if word.startswith(("`", "(`")) and ".py" in word}
    assert len(named) > 15
    missing = [
        name
        for name in named
        if not any((folder / name).exists() for folder in (ROOT, ROOT / "stt_lab"))
        and not list((ROOT / "stt_lab").rglob(name))
    ]
    assert missing == []
