"""Add the commands `stt-lab data check PATH` and `stt-lab data import KIND SOURCE TARGET`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from stt_lab.errors import BadInput


def add_data(command: argparse.ArgumentParser) -> None:
    group = command.add_subparsers(metavar="check | import", required=True)
    check = group.add_parser("check", help="list every problem of a manifest, and how to fix it")
    check.add_argument("path", type=Path, metavar="PATH", help="a manifest (.jsonl), or a folder with manifest.jsonl")
    check.add_argument("--quick", action="store_true", help="do not decode the audio")
    check.set_defaults(run=_check)
    load = group.add_parser("import", help="import recordings from another layout; `--help` lists the layouts")
    load.add_argument(
        "kind", metavar="KIND", help="layout of the source: " + "; ".join(f"{k}: {v}" for k, v in _kinds().items())
    )
    load.add_argument("source", metavar="SOURCE", help="folder or file, or a dataset name on the hub")
    load.add_argument("target", metavar="TARGET", type=Path, help="folder for manifest.jsonl")
    load.add_argument(
        "--columns", default="", metavar="NAME=COLUMN,...", help="columns of a table: audio=file,text=sentence"
    )
    load.add_argument("--split", default="", help="split to import, such as test, dev, validated, test-clean")
    load.add_argument("--language", help="language of recordings whose layout names none")
    load.add_argument("--licence", help="licence of recordings whose layout names none")
    audio = load.add_mutually_exclusive_group()
    audio.add_argument("--copy", dest="audio", action="store_const", const="copy", help="copy audio into TARGET/audio")
    audio.add_argument("--link", dest="audio", action="store_const", const="link", help="link audio into TARGET/audio")
    load.set_defaults(run=_import, audio="refer")


def _kinds() -> dict[str, str]:
    from stt_lab.lab.data.importers import KINDS

    return KINDS


def _check(path: Path, quick: bool, **unused: Any) -> int:
    from stt_lab.lab.data.dataset import check

    problems = check(path, decode=not quick)
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problem{'s' * (len(problems) != 1)}." if problems else f"{path} has no problems.")
    return 1 if problems else 0


def _import(kind: str, source: str, target: Path, columns: str, language: str | None, **options: Any) -> int:
    from stt_lab.lab.data.importers import ImportOptions, import_dataset
    from stt_lab.text import language_code

    pairs = [pair.partition("=") for pair in columns.split(",") if pair]
    if wrong := [name for name, _, column in pairs if not column]:
        raise BadInput(f"--columns cannot contain {wrong[0]!r}. Write pairs such as text=sentence.")
    code = language_code(language) if language else None
    mapping = {name.strip(): column.strip() for name, _, column in pairs}
    made = import_dataset(kind, source, target, ImportOptions(columns=mapping, language=code, **_known(options)))
    fields = ("text", "segments", "turns", "words")
    having = Counter(field for item in made.items for field in fields if getattr(item, field) is not None)
    counts = ", ".join(f"{having[field]} with {field}" for field in fields if having[field])
    print(f"{made.folder}: {len(made.items)} recordings, {counts or 'without references'}.")
    return 0


def _known(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("split", "licence", "audio")}
