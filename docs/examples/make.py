"""Each notebook once over what `make data` makes, as pages with pictures that GitHub shows.

    python docs/examples/make.py             all of them, some ten minutes on two cores
    python docs/examples/make.py 04 07       only these
    python docs/examples/make.py 05 --live RUN    notebook 05, over a stored run of the suite `live`

A page is docs/examples/NAME.md, its pictures lie in a folder of the same name. Code and recordings are left out.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from stt_lab.lab.report import notebooks

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SPEECH = ROOT / "data" / "speech"
SUITE = "dev"  # of eval/suites.toml
WIDTH, COLOURS = 900, 64  # of pictures, in pixels and in their palette
LIVE = "05-live"
OWN = 8  # recordings of notebook 08
PARAMETERS: dict[str, dict[str, Any]] = {
    "04-robustness": {"recordings": str(SPEECH), "limit": 4},
    "08-your-own-data": {"language": "en", "most": 3},
}
UNSHOWN = re.compile(r"<style.*?</style>|<audio.*?</audio>|<script.*?</script>|<!--.*?-->", re.DOTALL)
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
LOOKS = re.compile(r' (?:class|style|border)="[^"]*"|</?div>')
INDEX = """# What the notebooks show

Each notebook, run over what `make data` makes (about four minutes of speech, so the intervals are wide) by
`make examples`. The pages of real runs have the recordings to listen to; here they are left out. Look at `busy`
before you look at speeds: it counts the recordings during which other programs used the machine. Notebook 05 ran over
other recordings (the suite `live`).

{pages}

What was said: announcements of Asterisk's sound packages (en, es, fr: CC BY-SA 3.0, Allison Smith and June Wallack; it,
ru: CC BY 3.0, Carlo Flora and ivrvoice.ru), LibriVox (public domain), LibriSpeech (CC BY 4.0), and the sample of
pyannote.audio (MIT).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of notebooks, such as 04; all when left out")
    parser.add_argument(
        "--live", type=Path, metavar="RUN", help="run of the suite `live`; without it 05 stays as it is"
    )
    asked = parser.parse_args()
    wanted = [notebooks.find(name).stem for name in asked.names] or list(notebooks.notebooks())
    if LIVE in wanted:
        wanted.remove(LIVE)
        if asked.live:
            keep(LIVE, notebooks.report(asked.live, LIVE).with_suffix(".ipynb"))
    if wanted:
        from_data(wanted)
    (HERE / "README.md").write_text(INDEX.format(pages="\n".join(lines())), "utf-8")


def from_data(wanted: list[str]) -> None:
    """Run notebooks over what `make data` makes."""
    python(str(ROOT / "data" / "make.py"), str(SPEECH))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        if set(wanted) - set(PARAMETERS):
            python("-m", "stt_lab", "eval", SUITE, "--runs", scratch, "--name", folder.name, "--no-report")
        for name in wanted:
            place = Path(scratch) / name if name in PARAMETERS else folder
            own = {"recordings": str(own_folder(Path(scratch) / "mine"))} if name == "08-your-own-data" else {}
            keep(name, notebooks.report(place, name, PARAMETERS.get(name, {}) | own).with_suffix(".ipynb"))


def python(*command: str) -> None:
    subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, "STT_LAB_SPEECH_DIR": str(SPEECH)}, check=True
    )


def own_folder(folder: Path) -> Path:
    """Recordings with a .txt beside each, as notebook 08 wants them."""
    folder.mkdir()
    rows = [json.loads(line) for line in (SPEECH / "manifest.jsonl").read_text("utf-8").splitlines()]
    for row in [row for row in rows if row["kind"] == "utterance" and row.get("language") == "en"][-OWN:]:
        path = SPEECH / row["path"]
        shutil.copy(path, folder)
        (folder / f"{path.stem}.txt").write_text(row["text"], "utf-8")
    return folder


def keep(name: str, executed: Path) -> None:
    """The page of an executed notebook, and its pictures."""
    pictures = HERE / name
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    cells = json.loads(executed.read_text("utf-8"))["cells"]
    parts = [part for cell in cells for part in shown(cell, pictures)]
    (HERE / f"{name}.md").write_text("\n\n".join(parts) + "\n", "utf-8")


def shown(cell: Mapping[str, Any], pictures: Path) -> Iterator[str]:
    """Texts, tables and pictures of a cell."""
    if cell["cell_type"] == "markdown":
        yield "".join(cell["source"])
    for output in cell.get("outputs", ()):
        data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
        if "image/png" in data:
            yield picture(data["image/png"], output["metadata"]["image/png"]["alt"], pictures)
        elif "text/html" in data:
            plain = LOOKS.sub("", UNSHOWN.sub("", data["text/html"]))
            yield re.sub(r"\s*\n\s*", "\n", TABLE.sub(table, plain)).strip()
        elif "text/plain" in data:
            yield f"    {data['text/plain']}"


def table(found: re.Match[str]) -> str:
    """An HTML table as Markdown has it."""
    rows = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", found[0], re.DOTALL)]
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def picture(encoded: str, title: str, pictures: Path) -> str:
    image = Image.open(BytesIO(base64.b64decode(encoded))).convert("RGB")
    small = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    path = pictures / f"{len(list(pictures.iterdir())) + 1}.png"
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    return f"![{title}]({pictures.name}/{path.name})"


def lines() -> Iterator[str]:
    """A line per page that is there, with the first words of its notebook."""
    for name in notebooks.notebooks():
        if (page := HERE / f"{name}.md").exists():
            title, about = page.read_text("utf-8").split("\n\n")[:2]
            yield f"- [{title.removeprefix('# ')}]({page.name}): {about.splitlines()[0]}"


if __name__ == "__main__":
    main()
