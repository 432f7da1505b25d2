"""Suites: what a table becomes, which recordings it selects, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lab_toys import manifest

from stt_lab.errors import BadInput, MissingFile
from stt_lab.lab.data.dataset import Dataset, Item, read_manifest
from stt_lab.lab.runs.suite import (
    BY_LANGUAGE,
    SPEECH_DIR,
    Suite,
    SystemEntry,
    moved,
    normaliser_of,
    open_dataset,
    own_dataset,
    read_dict,
    read_suites,
    read_system,
    read_systems,
)
from stt_lab.lab.runs.systems import KINDS
from stt_lab.lab.runs.systems.child import WhisperCpp
from stt_lab.lab.runs.systems.ours import OwnConfig
from stt_lab.lab.runs.systems.web import OpenAiService
from stt_lab.settings import get_settings

ONE = {"engine": "stt_lab", "model": "base"}


def item(id: str, **more: Any) -> Item:
    return Item(id, Path(f"/{id}.wav"), **more)


def suite(**more: Any) -> Suite:
    return read_dict({"name": "s", "dataset": "d", "systems": [{"name": "one", **ONE}], **more})


def chosen(items: list[Item], **more: Any) -> list[str]:
    return [one.id for one in suite(**more).items(Dataset("d", Path("/"), tuple(items)))]


# Systems


def test_each_engine_has_a_config_of_its_own() -> None:
    assert read_system("a", ONE) == SystemEntry("a", "stt_lab", OwnConfig("base"))
    web = read_system("b", {"engine": "openai-api", "url": "http://x/v1", "model": "m", "word_times": True})
    assert web.config == OpenAiService("http://x/v1", "m", word_times=True)
    options = {"beam_size": 5, "temperature": 0.2}
    program = read_system(
        "c", {"engine": "whisper.cpp", "model": "base", "options": options, "languages": ["en", "de"]}
    )
    assert program == SystemEntry("c", "whisper.cpp", WhisperCpp("base", options=options), ("en", "de"))
    assert len(set(KINDS.values())) == len(KINDS) == 11


def test_speakers_are_a_number_or_known() -> None:
    assert read_system("a", {**ONE, "speakers": 3}).config == OwnConfig("base", speakers=3)
    assert read_system("a", {**ONE, "speakers": "known"}).config == OwnConfig("base", speakers="known")
    for wrong in ("two", 1.5, None, True):
        with pytest.raises(BadInput, match="cannot have speakers"):
            read_system("a", {**ONE, "speakers": wrong})


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({}, "The system 'x' has an unknown engine ''. Choose from stt_lab, "),
        ({"engine": "stt_lab"}, "The system 'x' lacks the field 'model'. Add it."),
        ({"engine": "openai-api", "model": "m"}, "The system 'x' lacks the field 'url'. Add it."),
        ({**ONE, "model": 5}, "The system 'x' cannot have model = 5. Input should be a valid string."),
        ({**ONE, "languages": [1]}, 'has languages that are not a list of codes. Write languages = ["en"].'),
        ({**ONE, "diarise": True}, "The system 'x' has an unknown field 'diarise'. Did you mean 'diarize'?"),
        ({**ONE, "x" * 80: 1}, f"has an unknown field '{'x' * 40}'. Choose from model, language, "),
    ],
)
def test_a_wrong_system_is_a_sentence(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_system("x", row)
    assert sentence in str(raised.value)


def test_a_system_skips_recordings_in_other_languages() -> None:
    english = replace(read_system("a", ONE), languages=("en",))
    assert [english.covers(item("i", language=code)) for code in ("en", "de", None)] == [True, False, True]
    assert read_system("a", ONE).covers(item("i", language="de"))


# Which recordings


ITEMS = [
    item("a", language="en", source="x", duration=5.0),
    item("b", language="de", source="x", duration=50.0, kind="multi-speaker"),
    item("c", source="y", kind="non-speech"),
    item("d", language="en", source="y", duration=None),
]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, "abcd"),
        ({"languages": ["en"]}, "ad"),
        ({"kinds": ["speech"]}, "ad"),
        ({"kinds": ["multi-speaker", "non-speech"]}, "bc"),
        ({"sources": ["x"]}, "ab"),
        ({"ids": ["d", "a"]}, "ad"),  # in the order of the dataset
        ({"longest_s": 10.0}, "acd"),  # an unknown duration may be short
        ({"sources": ["x"], "languages": ["en"]}, "a"),
        ({"limit": 9}, "abcd"),
    ],
)
def test_filters_apply_together(filters: dict[str, Any], ids: str) -> None:
    assert chosen(ITEMS, **filters) == list(ids)


def test_a_larger_limit_only_adds_recordings() -> None:
    items = [item(f"i{number}") for number in range(40)]
    samples = [set(chosen(items, limit=limit)) for limit in range(1, 41)]
    assert [len(sample) for sample in samples] == list(range(1, 41))
    assert all(small < large for small, large in pairwise(samples))
    assert chosen(items, limit=5) == chosen(items[::-1], limit=5)[::-1]  # whatever the order
    assert chosen(items, limit=5, seed=1) != chosen(items, limit=5)


def test_filters_that_exclude_everything_are_refused() -> None:
    with pytest.raises(BadInput, match="The filters of the suite 's' exclude every recording of d"):
        chosen(ITEMS, languages=["fi"])


# Suites


def test_a_suite_survives_json() -> None:
    whole = suite(kinds=["speech"], limit=3, collar_s=0.25, normaliser="basic", about="why")
    assert read_dict(whole.as_dict()) == whole
    assert whole.as_dict()["systems"][0]["engine"] == "stt_lab"


@pytest.mark.parametrize("wrong", [{"limit": -1}, {"longest_s": -0.5}, {"collar_s": -1.0}, {"timeout_s": 0.0}])
def test_negative_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"The suite 's' has a negative .* Use positive numbers\."):
        suite(**wrong)


def test_systems_of_a_suite_are_chosen_by_name_once() -> None:
    systems = [{"name": name, **ONE} for name in ("one", "two", "three")]
    whole = read_dict({"name": "s", "dataset": "d", "systems": systems})
    assert [one.name for one in whole.with_systems(["two", "one", "two"]).systems] == ["two", "one"]
    with pytest.raises(BadInput, match=r"The suite 's' has no system 'tow'\. Did you mean 'two'\?"):
        whole.with_systems(["tow"])


def test_a_file_of_suites(tmp_path: Path) -> None:
    path = tmp_path / "suites.toml"
    with pytest.raises(MissingFile, match="Pass one with --suites"):
        read_suites(path)
    path.write_text("[suites", "utf-8")
    with pytest.raises(BadInput, match=r"suites.toml is not TOML"):
        read_suites(path)
    path.write_bytes(b"\xff")
    with pytest.raises(BadInput, match=r"suites.toml is not TOML"):
        read_suites(path)
    path.write_text(
        '[systems.spare]\nengine = "stt_lab"\nmodel = "a"\n[systems.one]\nengine = "stt_lab"\nmodel = "b"\n'
        '[suites.s]\ndataset = "d"\nsystems = ["one", "one"]\n',
        "utf-8",
    )
    assert list(read_systems(path)) == ["spare", "one"]
    assert [one.name for one in read_suites(path)["s"].systems] == ["one"]


# Datasets of suites


def test_a_dataset_is_relative_to_its_suite(tmp_path: Path) -> None:
    manifest(tmp_path / "lab" / "d", [{"id": "a"}])
    assert open_dataset(suite(), tmp_path / "lab", get_settings()).name == "d"
    (tmp_path / "runs" / "r").mkdir(parents=True)
    named = moved(suite(), tmp_path / "lab", tmp_path / "runs" / "r")
    assert named.dataset == "../../lab/d"
    assert open_dataset(named, tmp_path / "runs" / "r", get_settings()) == read_manifest(tmp_path / "lab" / "d")


def test_the_recordings_of_the_setting(tmp_path: Path) -> None:
    settings = get_settings().model_copy(update={"speech_dir": manifest(tmp_path / "speech", [{"id": "a"}])})
    shared = suite(dataset=SPEECH_DIR)
    assert open_dataset(shared, Path("nowhere"), settings).items[0].id == "a"
    assert moved(shared, tmp_path, tmp_path / "elsewhere") is shared
    missing = settings.model_copy(update={"speech_dir": tmp_path / "none"})
    with pytest.raises(MissingFile, match="Set STT_LAB_SPEECH_DIR"):
        open_dataset(shared, tmp_path, missing)


def test_other_recordings_clear_the_filters(tmp_path: Path) -> None:
    filtered = suite(kinds=["speech"], sources=["x"], languages=["en"], ids=["a"], longest_s=3.0, limit=2, seed=4)
    own = own_dataset(filtered, tmp_path / "mine")
    assert own == replace(suite(limit=2, seed=4), dataset=str(tmp_path / "mine"))


def test_normalisers_by_language() -> None:
    assert [normaliser_of(code) for code in ("en", None, "de", "zh")] == [
        "whisper_en",
        "whisper_en",
        "whisper",
        "whisper",
    ]
    assert suite().normaliser == BY_LANGUAGE
