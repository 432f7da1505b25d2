"""Notebooks are executed with parameters by papermill, and become a page without code.

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

REPORT = "00-report"  # what a run gets by itself
PLACES = (Path(__file__).parents[3] / "notebooks", Path(__file__).parents[1] / "shipped")  # a checkout, an installation
PARAMETERS = "parameters"  # tag of the cell that is replaced
SCRIPTS = re.compile(r"<script\b.*?</script>\s*", re.DOTALL)
STYLE = """<style>
.jp-Cell-outputWrapper {padding-left: calc(var(--jp-cell-prompt-width) + 12px)}
.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th {text-align: left !important; font-size: 13px}
.jp-RenderedHTMLCommon td {white-space: nowrap}
.jp-RenderedHTMLCommon {overflow-x: auto}
</style>
"""
TRANSPORT = "ipc" if os.name == "posix" else "tcp"  # with the kernel: nobody else on the machine may listen
QUIET = ["--log-level=50"]  # the kernel tells of its end, though nothing is wrong
CELL_S = 3600  # seconds that a cell may take


def notebooks() -> dict[str, Path]:
    """Name, without its suffix, and path of each."""
    found = next((place for place in PLACES if place.is_dir()), None)
    if found is None:
        raise MissingFile("The notebooks are not installed: run this in a checkout of stt_lab.")
    return {path.stem: path for path in sorted(found.glob("[0-9][0-9]-*.ipynb"))}


def find(name: str) -> Path:
    """A notebook by its name, or the only one that begins with it ("07")."""
    known = notebooks()
    found = [name] if name in known else [one for one in known if name and one.startswith(name)]
    if len(found) != 1:
        raise BadInput(f"There is no notebook {name!r}: choose from {', '.join(known)}.")
    return known[found[0]]


def parameters_of(notebook: Path) -> dict[str, Any]:
    """What may be set, with the defaults."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if PARAMETERS in cell["metadata"].get("tags", ())]
    found = {}
    for line in ast.parse("\n".join(sources)).body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            found[line.targets[0].id] = ast.literal_eval(line.value)
    return found


def checked(notebook: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, refused where the notebook has none of that name or of that type."""
    known = parameters_of(notebook)
    for name, value in wanted.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? It" if near else "it"
            raise BadInput(f"{notebook.stem} has no parameter {name!r}: {hint} has {', '.join(known)}.")
        kind = type(known[name])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise BadInput(
                f"{name} of {notebook.stem} is {kind.__name__}, as in {name}={known[name]!r}; not {value!r}."
            )
    return dict(wanted)


def from_text(notebook: Path, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Parameters as typed on a command line, read as the type of their default."""
    known, made = parameters_of(notebook), {}
    for name, text in pairs.items():
        try:
            made[name] = text if isinstance(known.get(name), str) else ast.literal_eval(text)
        except (ValueError, SyntaxError):
            made[name] = text
    return checked(notebook, made)


def execute(notebook: Path, parameters: Mapping[str, Any], output: Path) -> Path:
    """Execute into `output` (.ipynb); paths are relative to the current folder. The page beside it is returned.

    A notebook that failed is kept, with its error, before this raises Unavailable.
    """
    values = checked(notebook, parameters)
    try:
        import papermill
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config
    except ImportError:
        raise Unavailable('Reports need papermill: run pip install "stt_lab[lab]".') from None
    output = output.absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            str(notebook), str(output), values, kernel_name="python3", progress_bar=False,
            execution_timeout=CELL_S, stderr_file=sys.stderr,
            config=Config({"KernelManager": {"transport": TRANSPORT}, "NotebookClient": {"extra_arguments": QUIET}}),
        )  # fmt: skip
    except PapermillExecutionError as problem:
        raise Unavailable(f"{notebook.stem} failed: {_sentence(problem)} It is kept as {output.name}.") from None
    finally:
        _without_places(output)
    return to_html(output)


def _sentence(problem: Any) -> str:
    """Our own errors are sentences; of others the kind is told too."""
    lines = str(problem.evalue).strip().splitlines()
    first = lines[0] if lines else ""
    own = problem.ename in ("BadInput", "MissingFile", "NotFound", "Unavailable", "Conflict", "ModelMissing")
    return first if own else f"{problem.ename}: {first}."


def _without_places(output: Path) -> None:
    """Drop what papermill writes down of this machine's folders."""
    if output.exists():
        made = json.loads(output.read_text("utf-8"))
        made["metadata"].pop("papermill", None)
        output.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")


def to_html(executed: Path) -> Path:
    """A page beside the notebook, without its code; it runs no script and fetches nothing."""
    import nbformat
    from nbconvert import HTMLExporter

    made = nbformat.read(executed, as_version=4)
    for cell in made.cells:
        cell["outputs"] = [one for one in cell.get("outputs", ()) if one.get("name") != "stderr"]  # logs of libraries
        for output in cell["outputs"]:
            _with_title(output)
    exporter = HTMLExporter(exclude_input=True, exclude_output_prompt=True)
    page, _ = exporter.from_notebook_node(made, {"metadata": {"name": executed.stem}})
    target = executed.with_suffix(".html")
    target.write_text(SCRIPTS.sub("", page).replace("</head>", f"{STYLE}</head>", 1), "utf-8")
    return target


def _with_title(output: Any) -> None:
    """Make a picture an element with its title, which nbconvert's page would drop."""
    data = output.get("data", {})
    about = output.get("metadata", {}).get("image/png", {})
    if "image/png" in data and "alt" in about:
        source = f"data:image/png;base64,{data['image/png'].strip()}"
        data["text/html"] = f'<img alt="{escape(about["alt"])}" width="{about["width"]}" src="{source}">'


def report(folder: Path, name: str = REPORT, parameters: Mapping[str, Any] | None = None) -> Path:
    """The page that a notebook makes of a stored run, in the run's folder. 08 takes any folder and writes to it."""
    notebook = find(name)
    place = Path(os.path.relpath(folder)).as_posix()  # so that the page names no folder of this machine
    where = {name: place for name in ("run", "target") if name in parameters_of(notebook)}
    if "run" in where and not (folder / "suite.json").is_file():
        raise BadInput(f"There is no run at {folder}: name a folder that `stt-lab eval` made.")
    target = "report" if notebook.stem == REPORT else notebook.stem
    return execute(notebook, where | dict(parameters or {}), folder / f"{target}.ipynb")
