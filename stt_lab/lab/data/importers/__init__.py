"""Import datasets from other layouts into a manifest: `import_dataset("librispeech", source, target)`.

An importer is a module with `read(source, options)` that yields items; it is loaded on demand. An error is a sentence
that names the file and the line.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from stt_lab.errors import BadInput, Conflict, MissingFile
from stt_lab.lab.data.dataset import MANIFEST, read_manifest, write_manifest
from stt_lab.lab.data.importers.options import ImportOptions, has_audio
from stt_lab.lab.data.items import Dataset, Flaw, Item

__all__ = ["KINDS", "ImportOptions", "has_recordings", "import_dataset", "read_recordings"]

Importer = Callable[[str, ImportOptions], Iterator[Item]]

KINDS = {  # module: what it reads
    "folder": "audio with .txt, .srt, .vtt, .rttm, .stm, .ctm or .TextGrid files of the same name beside it",
    "table": "a CSV or TSV file with a header; --columns maps its columns",
    "librispeech": "unpacked LibriSpeech: SPEAKER/CHAPTER/*.flac and *.trans.txt",
    "common_voice": "one unpacked language of Common Voice: clips/ and test.tsv (or --split)",
    "fleurs": "FLEURS: LANGUAGE/test.tsv (or --split) and LANGUAGE/audio/test/*.wav",
    "ami": "AMI: meeting audio and the manual annotations in XML; RTTM files take precedence",
    "voxconverse": "VoxConverse: WAV and RTTM files of the same name, in any subfolders",
    "huggingface": "a Hugging Face dataset: saved to disk, parquet, an audio folder, or a name on the hub",
}
AUDIO = "audio"  # folder of copied or linked audio, beside the manifest


def import_dataset(kind: str, source: str | Path, target: Path, options: ImportOptions | None = None) -> Dataset:
    """Import a source of the layout `kind` into `target`/manifest.jsonl; write nothing on failure.

    The manifest refers to audio in place, unless the options ask for copies or links in `target`/audio.
    """
    options = options or ImportOptions()
    target = Path(os.path.abspath(target))
    for name in (MANIFEST, AUDIO)[: 1 if options.audio == "refer" else 2]:
        _check_free(target / name)
    new = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    try:
        return _filled(kind, source, target, options)
    finally:
        if new and not any(target.iterdir()):
            target.rmdir()


def has_recordings(folder: Path) -> bool:
    """Return whether `read_recordings` would find something."""
    return (folder / MANIFEST).is_file() or has_audio(folder)


def read_recordings(path: Path) -> Dataset:
    """Read a manifest, or without one the audio of a folder with the annotations beside it. Nothing is written.

    Raises BadInput and MissingFile.
    """
    folder = Path(os.path.abspath(path))
    if not folder.is_dir() or (folder / MANIFEST).is_file() or not has_audio(folder):
        return read_manifest(path)
    return Dataset(folder.name, folder, tuple(_collected("folder", str(folder), ImportOptions())))


def _filled(kind: str, source: str | Path, target: Path, options: ImportOptions) -> Dataset:
    with tempfile.TemporaryDirectory(prefix=".import-", dir=target) as name:
        scratch, final = Path(name) / AUDIO, target / AUDIO
        scratch.mkdir()
        items = tuple(_collected(kind, str(source), replace(options, scratch=scratch)))
        if options.audio != "refer":
            items = tuple(_taken(items, scratch, options.audio))
        dataset = Dataset(target.name, target, tuple(_moved(item, scratch, final) for item in items))
        held = any(scratch.iterdir())
        if held:
            _check_free(final)
            scratch.rename(final)
        try:
            write_manifest(dataset, target / MANIFEST)
        except BaseException:
            if held:
                final.rename(scratch)  # deleted with the temporary folder
            raise
    return dataset


def _check_free(path: Path) -> None:
    if path.exists():
        raise Conflict(f"{path} already exists. Remove it, or choose another folder.")


def _collected(kind: str, source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield items with unique ids, completed with the defaults of the options."""
    seen = set()
    try:
        for item in _importer(kind)(source, options):
            if item.id in seen:
                raise Flaw(f"two recordings are called {item.id}", "give each a unique name")
            seen.add(item.id)
            yield replace(
                item,
                language=item.language or options.language,
                licence=item.licence or options.licence,
                source=item.source or options.source,
            )
    except Flaw as flaw:
        raise BadInput(str(flaw)) from None
    if not seen:
        raise BadInput(f"{source} has no recordings in the layout {kind}. Expected: {KINDS[kind]}.")


def _importer(kind: str) -> Importer:
    if kind not in KINDS:
        raise BadInput(f"Unknown layout {kind[:30]!r}. Choose from {', '.join(KINDS)}.")
    made: Importer = importlib.import_module(f"{__name__}.{kind}").read
    return made


def _taken(items: tuple[Item, ...], folder: Path, how: str) -> Iterator[Item]:
    """Copy or link the audio of items into the folder."""
    for item in items:
        if not item.audio.is_file():
            raise MissingFile(f"The audio of {item.id} does not exist. Correct its name, or add the file.")
        if item.audio.is_relative_to(folder):
            yield item
            continue
        copy = _free(folder, item.id, item.audio.suffix)
        if how == "copy":
            shutil.copyfile(item.audio, copy)
        else:
            copy.symlink_to(item.audio)
        yield replace(item, audio=copy)


def _free(folder: Path, id: str, suffix: str) -> Path:
    """Return an unused path in the folder, named after the id."""
    plain = re.sub(r"[^\w.-]+", "_", id)[-100:].lstrip(".") or "audio"
    names = (f"{plain}{f'-{number}' if number > 1 else ''}{suffix}" for number in count(1))
    return next(path for path in map(folder.joinpath, names) if not path.exists() and not path.is_symlink())


def _moved(item: Item, old: Path, new: Path) -> Item:
    if not item.audio.is_relative_to(old):
        return item
    return replace(item, audio=new / item.audio.relative_to(old))
