"""The files of the Library tab: how they are served, and that data cannot become HTML in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import ROOT
from toy_server import Served, serve, settings_for

from stt_lab.ui.workbench import files

FOLDER = ROOT / "stt_lab" / "ui" / "workbench"
OURS = [path for path in sorted(FOLDER.iterdir()) if path.suffix in (".js", ".css")]
SCRIPTS = [*OURS, *sorted((ROOT / "stt_lab" / "ui").rglob("*.js"))]
HTML = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|setHTML|createContextualFragment|srcdoc"
)
RUNS = re.compile(r"\beval\(|new Function|javascript:")
TEMPLATE = re.compile(r"\{\{")
GRADIOS = re.compile(r"\b(html_|css_)?template\s*=")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("served"))) as running:
        yield running


def test_files_are_short() -> None:
    assert len(OURS) > 5
    lengths = {path.name: path.read_text("utf-8").count("\n") for path in OURS}
    assert {name: lines for name, lines in lengths.items() if lines > 350} == {}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_data_stays_text(path: Path) -> None:
    """No way from a text to HTML or to a program is used at all, so none can be used with data."""
    text = path.read_text("utf-8")
    if "vendor" not in path.parts:
        assert not HTML.search(text)
        assert not RUNS.search(text)
        assert not TEMPLATE.search(text)


def test_no_component_has_a_template() -> None:
    """Gradio runs what stands in `${...}` of data that a Handlebars template receives."""
    sources = sorted((ROOT / "stt_lab" / "ui").rglob("*.py"))
    assert len(sources) > 30
    assert [path.name for path in sources if GRADIOS.search(path.read_text("utf-8"))] == []


def test_the_module_is_served_for_long(served: Served) -> None:
    page = httpx.get(served.url).text
    (address,) = re.findall(r"page/\w+/main\.js", page)
    for name in (address.rpartition("/")[2], "workbench.css", "wavesurfer.min.js"):
        answer = httpx.get(f"{served.url}/page/{files.VERSION}/{name}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-security-policy"] == "default-src 'none'"
        assert answer.headers["content-type"].split(";")[0] == files.TYPES[Path(name).suffix]
    assert address.split("/")[1] == files.VERSION


@pytest.mark.parametrize(
    "address", ["old/main.js", "VERSION/tab.py", "VERSION/..%2Ftab.py", "VERSION/wavesurfer.LICENSE"]
)
def test_nothing_else_is_served(served: Served, address: str) -> None:
    answer = httpx.get(f"{served.url}/page/{address.replace('VERSION', files.VERSION)}")
    assert answer.status_code == 404
    assert set(answer.json()) >= {"error"}


def test_what_is_vendored_has_its_licence() -> None:
    scripts = sorted((FOLDER / "vendor").glob("*.js"))
    assert [path.name for path in scripts] == ["wavesurfer.min.js"]
    assert "BSD 3-Clause" in (FOLDER / "vendor" / "wavesurfer.LICENSE").read_text("utf-8")
