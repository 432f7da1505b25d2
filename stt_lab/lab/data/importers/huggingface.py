"""Import Hugging Face datasets: from `save_to_disk`, parquet files, an audio folder, or the hub by name.

`datasets` never decodes the audio: its bytes are written to files unchanged, and our own decoder reads them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stt_lab.errors import NotFound, Unavailable
from stt_lab.extras import command
from stt_lab.lab.data.importers.options import AUDIO_SUFFIXES, ImportOptions, files
from stt_lab.lab.data.importers.table import mapped, to_item
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.settings import get_settings

__all__ = ["read"]

TEXTS = ("text", "sentence", "transcription", "transcript", "raw_transcription", "normalized_text")


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield an item per row of the split (default: test, or the only one). Hub names are USER/NAME[:CONFIG]."""
    path = Path(os.path.abspath(source))
    if not path.exists() and get_settings().offline:
        raise NotFound(f"{source} is not on this machine, and STT_LAB_OFFLINE is set. Unset it to use the hub.")
    try:
        from datasets.exceptions import DatasetsError
    except ImportError:
        raise Unavailable(f"This layout needs the package datasets. Run {command('lab')}.") from None
    try:
        yield from _items(_split(_opened(source, path), options, source), options)
    except (OSError, ValueError, DatasetsError) as problem:  # of files, the network, pyarrow
        reason = " ".join(str(problem).split())[:200]
        raise Flaw(f"{source} cannot be read as a dataset: {reason}", "check its files") from None


def _items(found: Any, options: ImportOptions) -> Iterator[Item]:
    if found.features is None:
        raise Flaw("the dataset does not list its columns", "save it as parquet")
    rows = _undecoded(found, options)
    columns = _columns(rows, options)
    for number, row in enumerate(rows, 1):
        where = f"row {number}"
        id = f"{options.split or 'row'}-{number:06}"
        audio = _file(row[columns["audio"]], id, options.scratch, where)
        found = {name: value for name, value in mapped(row, columns).items() if _fits(name, value)}
        if "id" in columns:
            id = str(found.get("id", id))
        elif "id" in found:
            found["id_"] = found["id"]  # often the id of a sentence that several speakers read
        yield to_item(found | {"id": id, "audio": str(audio)}, options.scratch, where)


def _fits(name: str, value: Any) -> bool:
    """Return whether a manifest column can hold the value; lists only in columns of lists."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int) or (isinstance(value, list) and name in ("segments", "turns", "words"))


def _opened(source: str, path: Path) -> Any:
    """Open the rows, or a mapping of splits, without writing to a cache."""
    import datasets

    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # it would send a request for each dataset that is opened
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return datasets.load_from_disk(str(path))
    return datasets.load_dataset(**_request(source, path), streaming=True)


def _request(source: str, path: Path) -> dict[str, Any]:
    """Return the arguments of `load_dataset`."""
    if path.is_file():
        return {"path": "parquet", "data_files": str(path)}
    if path.is_dir():
        parquet = files(path, frozenset([".parquet"]))
        if not parquet:
            return {"path": "audiofolder", "data_dir": str(path)}
        splits: dict[str, list[str]] = {}
        for part in parquet:  # test-00000-of-00002.parquet, or test/0000.parquet
            name = part.parent.name if part.stem.isdigit() and part.parent != path else part.stem.split("-")[0]
            splits.setdefault(name, []).append(str(part))
        return {"path": "parquet", "data_files": splits}
    name, _, config = source.partition(":")
    return {"path": name, "name": config or None}


def _split(found: Any, options: ImportOptions, source: str) -> Any:
    """Select one split."""
    if not isinstance(found, Mapping):
        return found
    name = options.split or ("test" if "test" in found else next(iter(found)) if len(found) == 1 else "")
    if name not in found:
        raise Flaw(f"{source} has the splits {', '.join(map(str, found))}", "choose one with --split")
    return found[name]


def _undecoded(rows: Any, options: ImportOptions) -> Any:
    """Cast audio columns to bytes and path, without decoding."""
    from datasets import Audio

    wanted = options.columns.get("audio")
    for name in [name for name, kind in rows.features.items() if isinstance(kind, Audio) or name == wanted]:
        rows = rows.cast_column(name, Audio(decode=False))
    return rows


def _columns(rows: Any, options: ImportOptions) -> dict[str, str]:
    """Map manifest columns to dataset columns: as given, else audio by its type and text by common names."""
    from datasets import Audio

    columns = dict(options.columns)
    for column, name in columns.items():
        if name not in rows.features:
            raise Flaw(f"the dataset has no column {name!r} for {column}", f"choose from {', '.join(rows.features)}")
    sounds = [name for name, feature in rows.features.items() if isinstance(feature, Audio)]
    if not sounds:
        raise Flaw("no column contains audio", "name it with --columns audio=NAME")
    columns.setdefault("audio", sounds[0])
    text = next((name for name in TEXTS if name in rows.features), None)
    return columns if text is None else {"text": text} | columns


def _file(sound: Any, id: str, folder: Path, where: str) -> Path:
    """Return the path of the audio; bytes are first written into the folder."""
    if not isinstance(sound, Mapping) or not (sound.get("bytes") or sound.get("path")):
        raise Flaw(f"{where} has no audio", "remove it from the dataset")
    name = sound.get("path") or ""
    suffix = Path(name).suffix.lower()
    if sound.get("bytes"):
        target = folder / f"{id}{suffix if suffix in AUDIO_SUFFIXES else '.audio'}"
        target.write_bytes(sound["bytes"])
        return target
    path = Path(os.path.abspath(name))
    if not path.is_file():
        raise Flaw(f"{where}: its audio {name[:60]} does not exist", "embed it in the dataset, or add the file")
    return path
