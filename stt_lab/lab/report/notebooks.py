"""Execute notebooks with parameters by papermill, and export them as HTML without code.

report(Path("eval/runs/dev"))                                  # report.ipynb and report.html in that folder
report(Path("eval/runs/dev"), "07-error-analysis", {"most": 3})
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import re
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from stt_lab.errors import BadInput, MissingFile, Unavailable
from stt_lab.extras import command

REPORT = "00-report"  # made for every run
PLACES = (
    Path(__file__).parents[3] / "notebooks",
    Path(__file__).parents[1] / "shipped",
)  # of a checkout, of an installation
PARAMETERS = "parameters"  # tag of the cell with the parameters
SCRIPTS = re.compile(r"<script\b.*?(?:</script>\s*|\Z)", re.DOTALL)
STYLE = """<style>
.jp-Cell-outputWrapper {padding-left: calc(var(--jp-cell-prompt-width) + 12px)}
.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th {text-align: left !important; font-size: 13px}
.jp-RenderedHTMLCommon td {white-space: nowrap}
.jp-RenderedHTMLCommon {overflow-x: auto}
</style>
"""
TRANSPORT = (
    "ipc" if os.name == "posix" else "tcp"
)  # to the kernel; sockets of TCP are open to other users of the machine
QUIET = ["--log-level=50"]  # otherwise the kernel logs its normal shutdown
CELL_S = 3600  # timeout of a cell, seconds


def notebooks() -> dict[str, Path]:
    """Return the paths of the notebooks by name."""
    found = next((place for place in PLACES if place.is_dir()), None)
    if found is None:
        raise MissingFile("The notebooks are not installed. Run this in a checkout of stt_lab.")
    return {path.stem: path for path in sorted(found.glob("[0-9][0-9]-*.ipynb"))}


def find(name: str) -> Path:
    """Find a notebook by its name or an unambiguous prefix ("07")."""
    known = notebooks()
    found = [name] if name in known else [one for one in known if name and one.startswith(name)]
    if len(found) != 1:
        raise BadInput(f"Unknown notebook {name!r}. Choose from {', '.join(known)}.")
    return known[found[0]]


def parameters_of(notebook: Path) -> dict[str, Any]:
    """Read the parameters of a notebook with their defaults."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if PARAMETERS in cell["metadata"].get("tags", ())]
    found = {}
    for line in ast.parse("\n".join(sources)).body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            found[line.targets[0].id] = ast.literal_eval(line.value)
    return found


def checked(notebook: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Check names and types of parameters. Raises BadInput."""
    known = parameters_of(notebook)
    for name, value in wanted.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise BadInput(f"{notebook.stem} has no parameter {name!r}. {hint}Choose from {', '.join(known)}.")
        kind = type(known[name])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise BadInput(
                f"{name} of {notebook.stem} cannot be {value!r}. Use type {kind.__name__}, such as {known[name]!r}."
            )
    return dict(wanted)


def from_text(notebook: Path, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Parse parameters from the command line by the type of their default. Raises BadInput."""
    known, made = parameters_of(notebook), {}
    for name, text in pairs.items():
        try:
            made[name] = text if isinstance(known.get(name), str) else ast.literal_eval(text)
        except (ValueError, SyntaxError):
            made[name] = text
    return checked(notebook, made)


def execute(notebook: Path, parameters: Mapping[str, Any], output: Path) -> Path:
    """Execute a notebook into `output` (.ipynb) and return the HTML page beside it; paths are relative to the cwd.

    If it fails, the notebook is kept with its error. Raises Unavailable.
    """
    values = checked(notebook, parameters)
    try:
        import papermill
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config
    except ImportError:
        raise Unavailable(f"Reports need the package papermill. Run {command('lab')}.") from None
    output = output.absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            str(notebook), str(output), values, kernel_name="python3", progress_bar=False,
            execution_timeout=CELL_S, stderr_file=sys.stderr,
            config=Config({"KernelManager": {"transport": TRANSPORT}, "NotebookClient": {"extra_arguments": QUIET}}),
        )  # fmt: skip
    except PapermillExecutionError as problem:
        raise Unavailable(f"{notebook.stem} failed: {_sentence(problem)} See {output.name}.") from None
    finally:
        _drop_paths(output)
    return to_html(output)


def _sentence(problem: Any) -> str:
    """Return the message of an error, with its type unless it is one of ours."""
    lines = str(problem.evalue).strip().splitlines()
    first = lines[0] if lines else ""
    own = problem.ename in ("BadInput", "MissingFile", "NotFound", "Unavailable", "Conflict", "ModelMissing")
    return first if own else f"{problem.ename}: {first}."


def _drop_paths(output: Path) -> None:
    """Delete papermill's metadata, which contains paths of this machine."""
    if output.exists():
        made = json.loads(output.read_text("utf-8"))
        made["metadata"].pop("papermill", None)
        output.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")


def to_html(executed: Path) -> Path:
    """Export an executed notebook as HTML without code, scripts or external resources."""
    import nbformat
    from nbconvert import HTMLExporter

    made = nbformat.read(executed, as_version=4)
    for cell in made.cells:
        cell["outputs"] = [one for one in cell.get("outputs", ()) if one.get("name") != "stderr"]  # logs of libraries
        for output in cell["outputs"]:
            _with_alternative_text(output)
    exporter = HTMLExporter(exclude_input=True, exclude_output_prompt=True)
    page, _ = exporter.from_notebook_node(made, {"metadata": {"name": executed.stem}})
    target = executed.with_suffix(".html")
    target.write_text(SCRIPTS.sub("", page).replace("</head>", f"{STYLE}</head>", 1), "utf-8")
    return target


def _with_alternative_text(output: Any) -> None:
    """Turn a picture into an <img> with alternative text, which nbconvert would drop."""
    data = output.get("data", {})
    about = output.get("metadata", {}).get("image/png", {})
    if "image/png" in data and "alt" in about:
        source = f"data:image/png;base64,{data['image/png'].strip()}"
        data["text/html"] = f'<img alt="{escape(about["alt"])}" width="{about["width"]}" src="{source}">'


def report(folder: Path, name: str = REPORT, parameters: Mapping[str, Any] | None = None) -> Path:
    """Make a page about a stored run with a notebook, in the run's folder; notebook 08 accepts any folder."""
    notebook = find(name)
    place = Path(os.path.relpath(folder)).as_posix()  # so that the page contains no absolute path
    where = {name: place for name in ("run", "target") if name in parameters_of(notebook)}
    if "run" in where and not (folder / "suite.json").is_file():
        raise BadInput(f"No run was found at {folder}. Pass a folder that `stt-lab eval` made.")
    target = "report" if notebook.stem == REPORT else notebook.stem
    return execute(notebook, where | dict(parameters or {}), folder / f"{target}.ipynb")
