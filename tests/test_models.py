"""The catalog of models, where weights are found, and what the doctor says of them."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from toy_models import COMMIT, HUBBED, REPO, Toy, toy

from stt_lab import extras
from stt_lab.engines.doctor import Finding, doctor
from stt_lab.errors import BadInput, Unavailable
from stt_lab.settings import Settings, get_settings
from stt_lab.weights import catalog, devices
from stt_lab.weights.devices import Gpu
from stt_lab.weights.pull import embedded, pull

__all__ = ["toy"]  # a fixture


def finding(settings: Settings, subject: str, **how: Any) -> Finding:
    (one,) = [found for found in doctor(settings, **how) if found.subject == subject]
    return one


# The catalog


UNPINNED = ("tinyroberta-squad2",)  # no commit of it was found where the hub cannot be asked


def test_catalog_is_sound() -> None:
    models = catalog.models()
    ids = [model.id for model in models]
    assert ids[:2] == ["large-v3-turbo", "large-v3"]
    assert len(set(models)) == len(set(ids)) == len(ids) == 28
    speech = ("base", "tiny.en", "segmentation-3.0", "campplus", "smart-turn-v3.2")
    voices = ("kokoro-82m", "dvector", "kokoro-voices")
    assert embedded() == (*speech, *voices, "all-MiniLM-L6-v2", "all-MiniLM-L6-v2-int8", "en_core_web_sm")
    for model in models:
        how = model.repo or model.packages or model.module or model.by_hand
        assert how or (model.needs and not model.files), model.id
        pinned = re.fullmatch("[0-9a-f]{40}", model.revision or "")
        assert not model.repo or pinned or model.id in UNPINNED
        assert model.id not in UNPINNED or not any("pytorch" in name for name in model.files)  # nothing that runs code
        assert set(model.needs) <= set(ids)
        for origin in model.origins:  # what an origin delivers is all that the engine needs
            assert all(re.fullmatch("[0-9a-f]{64}", value) for value in origin.values())
        for item in model.embedded:
            assert any(fnmatch(item.file, pattern) for pattern in model.files)
        assert not model.embedded or all(any(fnmatch(i.file, p) for i in model.embedded) for p in model.files)


def test_repositories_are_those_of_faster_whisper() -> None:
    spec = importlib.util.find_spec("faster_whisper")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).with_name("utils.py").read_text("utf-8"))
    (table,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "_MODELS"]
    theirs = ast.literal_eval(table)
    ours = {model.id: model.repo for model in catalog.models("transcribe")}
    assert len(ours) == 6
    assert ours == {name: theirs[name] for name in ours}


def test_what_the_api_lists() -> None:
    listed = [(m.id, m.languages, m.speed) for m in catalog.models("transcribe")][:4]
    wire = [("large-v3-turbo", "fast"), ("large-v3", "standard"), ("medium", "fast"), ("small", "very_fast")]
    assert listed == [(name, 99, speed) for name, speed in wire]
    assert catalog.get("tiny.en").languages == 1


@pytest.mark.parametrize("name", ["Systran/faster-whisper-base", "../base", "/etc", "", "base/", "..", "B", "x" * 9999])
def test_only_known_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Choose from large-v3-turbo") as caught:
        pull(name, Settings(models_dir=tmp_path))
    assert len(str(caught.value)) < 600
    assert not list(tmp_path.iterdir())


def test_import_and_lookup_are_light() -> None:
    heavy = ["torch", "ctranslate2", "faster_whisper", "pyannote", "pip", "httpx", "numpy", "huggingface_hub.hf_api"]
    code = f"""
import sys
from stt_lab.weights import catalog, devices
from stt_lab.settings import Settings
settings = Settings()
catalog.best("transcribe", settings), devices.device(settings), devices.gpu()
print([name for name in {heavy} if name in sys.modules])
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


# Where weights are


def test_places_in_order(toy: Toy) -> None:
    model = catalog.get("toy")
    assert catalog.locate(model, toy.settings()) is None
    cached = toy.put(toy.folder / "hf" / "hub" / "models--org--toy" / "snapshots" / COMMIT, HUBBED)
    assert catalog.find(model, toy.settings()) == catalog.InstalledWeights(cached, "hub cache")
    pulled = toy.put(toy.models / "toy")
    assert catalog.find(model, toy.settings()) == catalog.InstalledWeights(pulled, "models dir")
    own = toy.put(toy.folder / "own")
    settings = toy.settings(model_paths={"toy": own})
    assert catalog.find(model, settings) == catalog.InstalledWeights(own, "own path")
    (own / "model.bin").unlink()  # nothing else stands in for what the user named
    assert catalog.locate(model, settings) is None


def test_cache_layout_is_that_of_huggingface_hub(toy: Toy) -> None:
    from huggingface_hub import try_to_load_from_cache

    cached = toy.put(toy.folder / "hf" / "hub" / "models--org--toy" / "snapshots" / COMMIT, HUBBED)
    theirs = try_to_load_from_cache(REPO, "model.bin", cache_dir=toy.folder / "hf" / "hub", revision=COMMIT)
    assert theirs == str(cached / "model.bin")
    assert catalog.hub_folder(catalog.get("toy")) == cached
    (cached / "config.json").unlink()  # an interrupted download
    assert catalog.locate(catalog.get("toy"), toy.settings()) is None


def test_a_model_needs_its_needs(toy: Toy) -> None:
    toy.put(toy.models / "toy")
    model, settings = catalog.get("toy"), toy.settings()
    assert catalog.best("transcribe", settings) == model
    assert catalog.extra(model, settings) == (("tool", toy.models / "tool"),)
    (toy.models / "tool" / "tool.bin").unlink()
    assert not catalog.available(model, settings)
    assert catalog.best("transcribe", settings) is None


class Driver:
    """NVIDIA's driver as ctypes shows it, with `count` devices."""

    def __init__(self, count: int, status: int = 0) -> None:
        self.count, self.status = count, status

    def cuInit(self, flags: int) -> int:
        return self.status

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, handle: Any, number: int) -> int:
        return 0 if number < self.count else 101  # CUDA_ERROR_INVALID_DEVICE

    def cuDeviceGetName(self, name: Any, size: int, handle: Any) -> int:
        name.value = b"NVIDIA A100"
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, handle: Any) -> int:
        memory._obj.value = 8188 * 1024 * 1024
        return 0


def test_gpu_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.first_gpu(Driver(1)) == Gpu("NVIDIA A100", 8188)
    assert devices.first_gpu(Driver(0)) is devices.first_gpu(Driver(1, status=100)) is None
    monkeypatch.setattr(devices, "gpu", lambda: None)
    assert devices.device(Settings(device="auto")) == devices.device(Settings(device="cpu")) == "cpu"
    with pytest.raises(Unavailable, match="set auto or cpu"):
        devices.device(Settings(device="cuda"))
    assert not finding(Settings(device="cuda"), "device").ok
    monkeypatch.setattr(devices, "gpu", lambda: Gpu("NVIDIA A100", 8188))
    assert devices.device(Settings(device="auto")) == devices.device(Settings(device="cuda")) == "cuda"


# The doctor


def test_doctor_of_models(toy: Toy) -> None:
    settings = toy.settings()
    missing = finding(settings, "model toy")
    assert (missing.ok, missing.remedy) == (False, "stt-lab models pull toy")
    assert "2 MB" in missing.detail
    assert finding(toy.settings(offline=True), "model toy").remedy == ""
    assert "hf auth login" in finding(settings, "model gate").detail
    folder = toy.put(toy.models / "toy")
    assert finding(settings, "model toy").ok
    assert finding(settings, "model toy", verify=True).detail.startswith("models dir, checked, runs on cpu")
    (folder / "model.bin").write_bytes(b"first half, second hal?")
    assert finding(settings, "model toy").ok  # only a deep look sees it
    damaged = finding(settings, "model toy", verify=True)
    assert (damaged.ok, damaged.remedy) == (False, "stt-lab models pull toy")
    assert damaged.detail.endswith("damaged model.bin")
    (folder / "config.json").unlink()
    assert "incomplete: lacks config.*" in finding(settings, "model toy").detail


def test_doctor_names_what_is_needed(toy: Toy) -> None:
    toy.put(toy.models / "toy")
    assert finding(toy.settings(), "task transcribe") == Finding(
        "task transcribe", True, "the best installed model is toy"
    )
    (toy.models / "tool" / "tool.bin").unlink()
    assert "needs tool" in finding(toy.settings(), "model toy").detail
    assert finding(toy.settings(), "task transcribe").remedy == "stt-lab models pull toy"


def test_doctor_names_the_extra_of_an_engine(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.put(toy.models / "toy")
    model = replace(catalog.get("toy"), libraries=("json", "not_installed"), needs=())
    monkeypatch.setattr(catalog, "models", lambda task=None: (model,) if task in (None, "transcribe") else ())
    found = finding(toy.settings(), "model toy")
    assert (found.ok, found.detail) == (False, "is installed but needs not_installed")
    assert found.remedy == extras.command_line("llm")
    assert found.remedy.endswith("[llm]'")
    assert not catalog.available(model, toy.settings())
    assert catalog.available(replace(model, libraries=("json",)), toy.settings())


def test_doctor_of_language_models(toy: Toy) -> None:
    none = finding(toy.settings(), "task write")
    assert (none.ok, none.required) == (False, False)
    far = {"llm_url": "https://models.example/v1", "llm_model": "large"}
    assert "large at models.example" in finding(toy.settings(**far), "task write").detail
    kept = finding(toy.settings(**far, offline=True), "task write")
    assert (kept.ok, "STT_LAB_LLM_URL" in kept.detail) == (False, True)


def test_doctor_of_own_paths(toy: Toy) -> None:
    empty = toy.folder / "empty"
    empty.mkdir()
    settings = toy.settings(model_paths={"toy": empty, "nonsense": empty})
    assert "lacks model.bin, config.*" in finding(settings, "model toy").detail
    assert "nonsense is not a known model" in finding(settings, "STT_LAB_MODEL_PATHS").detail


def test_doctor_of_an_interrupted_pull(toy: Toy) -> None:
    settings = toy.settings()
    (toy.models / ".staging" / "toy").mkdir(parents=True)
    (toy.models / ".staging" / "toy" / "half.whl").write_bytes(b"0" * 3_000_000)
    left = finding(settings, "download of toy")
    assert (left.ok, left.remedy) == (False, "stt-lab models pull toy")
    assert "left 2 MB" in left.detail


def test_doctor_of_the_machine(toy: Toy) -> None:
    (toy.folder / "file").write_bytes(b"")
    settings = toy.settings()
    blocked = settings.model_copy(update={"data_dir": toy.folder / "file" / "data", "threads": 4096})
    assert finding(settings, "data folder").ok
    assert finding(settings, "models folder").ok
    assert "STT_LAB_DATA_DIR" in finding(blocked, "data folder").detail
    assert not (toy.folder / "data").exists()  # looking makes nothing
    assert finding(settings, "threads").ok
    assert not finding(blocked, "threads").ok
    assert finding(settings, "faster-whisper").detail.startswith("1.2")
    assert "MB free" in finding(settings, "disk").detail
    assert "offline" in finding(toy.settings(offline=True), "network").detail.lower()


@pytest.mark.truth
def test_doctor_finds_the_embedded_weights_whole() -> None:
    found = {item.subject: item for item in doctor(get_settings(), verify=True)}
    assert [name for name in embedded() if not found[f"model {name}"].ok] == []
