"""Add the commands `stt-lab data check PATH` and `stt-lab data import KIND SOURCE TARGET`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from stt_lab.errors import BadInput


def add_data(command: argparse.ArgumentParser) -> None:
    group = command.add_subparsers(metavar="check | import", required=True)
    check = group.add_parser("check", help="List every problem of a manifest, and how to fix it.")
    check.add_argument("path", type=Path, metavar="PATH", help="Manifest (.jsonl), or a folder with manifest.jsonl")
    check.add_argument("--quick", action="store_true", help="Do not decode the audio")
    check.set_defaults(run=_check)
    load = group.add_parser("import", help="Import recordings from another layout; `--help` lists the layouts.")
    load.add_argument(
        "kind", metavar="KIND", help="Layout of the source: " + "; ".join(f"{k}: {v}" for k, v in _kinds().items())
    )
    load.add_argument("source", metavar="SOURCE", help="Folder, file, or name of a dataset on the hub")
    load.add_argument("target", metavar="TARGET", type=Path, help="Folder for manifest.jsonl")
    load.add_argument(
        "--columns", default="", metavar="NAME=COLUMN,...", help="Columns of a table: audio=file,text=sentence"
    )
    load.add_argument("--split", default="", help="Split to import, such as test, dev, validated, test-clean")
    load.add_argument("--language", help="Language of recordings whose layout names none")
    load.add_argument("--licence", help="Licence of recordings whose layout names none")
    audio = load.add_mutually_exclusive_group()
    audio.add_argument("--copy", dest="audio", action="store_const", const="copy", help="Copy audio into TARGET/audio")
    audio.add_argument("--link", dest="audio", action="store_const", const="link", help="Link audio into TARGET/audio")
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
