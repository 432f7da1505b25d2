"""Conversations from recipes: what is wrong with one, where its sound is, how loud its noise, and when its words."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from conftest import ROOT
from needs import missing

from stt_lab.engines.kokoro_times import FRAME, TimedKokoro, TimedWord, also_returns, per_word
from stt_lab.engines.protocols import VoiceMix
from stt_lab.errors import BadInput, ModelMissing
from stt_lab.lab.data.dataset import read_manifest
from stt_lab.lab.noise.levels import active_level
from stt_lab.lab.talks.recipe import Noise, Recipe, TalkSpeaker, TalkTurn, read_recipe
from stt_lab.lab.talks.scene import Scene, in_room, make_scene, make_talk, place
from stt_lab.lab.talks.voices import RATE, SpokenTurn, open_voices
from stt_lab.settings import Settings, get_settings
from stt_lab.text.sentences import sentences
from stt_lab.types import SAMPLE_RATE
from stt_lab.weights import catalog

RECIPES = sorted((ROOT / "data" / "talks").glob("*.toml"))
VOICES = tuple(sorted(Path(item.file).stem for item in catalog.get("kokoro-voices").embedded))

# Recipes

GOOD = """
title = "two people"
[speakers]
Ada = { voice = "af_heart" }
Ben = { voice = "am_michael" }
[[turns]]
speaker = "Ada"
text = "Good morning."
"""


def read_from(folder: Path, text: str) -> Recipe:
    path = folder / "talk-a.toml"
    path.write_text(text, "utf-8")
    return read_recipe(path, VOICES)


def test_a_recipe(tmp_path: Path) -> None:
    made = read_from(tmp_path, GOOD + "gap = 2\n")
    assert made.speakers["Ben"] == TalkSpeaker(voice="am_michael")
    assert made.turns == (TalkTurn(speaker="Ada", text="Good morning.", gap=2.0),)
    assert (made.room_s, made.noise, made.language) == (None, None, "en")


@pytest.mark.parametrize(
    ("wrong", "right", "sentence"),
    [
        ("af_heart", "af_nobody", r"talk-a\.toml: Ada's voice 'af_nobody' is not known\. Choose from af_alloy, "),
        ('speaker = "Ada"', 'speaker = "Eve"', r"turn 1: nobody is called 'Eve'\. Choose from Ada, Ben\."),
        ("Good morning.", "", r"turns\.1\.text: String should have at least 1 character"),
        ("Good morning.", "  ", r"turn 1: the text is empty\. Write a sentence\."),
        ("Ada", "Ada Lovelace", r"talk-a\.toml is not TOML"),
        ('title = "two people"', 'title = "t"\nroom_s = 9', r"room_s: Input should be less than or equal to 1\.2"),
        ('title = "two people"', 'title = "t"\nroom = 1', r"room: Extra inputs are not permitted"),
        ('title = "two people"', 'title = "t"\nlanguage = "fr"', r"language: Input should be 'en'"),
        ('text = "Good morning."', "", r"turns\.1\.text: Field required"),
        ("[speakers]", "[speakers]\n'A b' = { voice = 'af_heart' }", r"the name 'A b' does not fit into RTTM"),
    ],
)
def test_what_is_wrong_with_a_recipe(wrong: str, right: str, sentence: str, tmp_path: Path) -> None:
    assert wrong in GOOD
    with pytest.raises(BadInput, match=sentence):
        read_from(tmp_path, GOOD.replace(wrong, right))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_make_data(path: Path) -> None:
    made = read_recipe(path, VOICES)
    assert 2 <= len(made.speakers) <= 4
    for turn in made.turns:
        for span in sentences(turn.text, made.language):
            assert len(per_word(span.of(turn.text).split(), made.language)) == len(span.of(turn.text).split())


def test_they_have_what_is_wanted() -> None:
    made = [read_recipe(path, VOICES) for path in RECIPES]
    assert {len(one.speakers) for one in made} == {2, 3, 4}
    assert any(turn.gap < 0 for one in made for turn in one.turns)
    assert any(one.room_s and one.noise for one in made)
    assert any(not one.room_s and not one.noise for one in made)


# Where the sound is, with voices of the test's own


class Hummer:
    """Says each word as 0.3 s of a tone, with silence around a sentence."""

    def timed(
        self, text: str, language: str, voice: VoiceMix, speed: float
    ) -> tuple[np.ndarray, tuple[TimedWord, ...]]:
        words, edge, each = text.split(), 2400, 7200
        tone = 0.3 * np.sin(2 * np.pi * 300 * (np.arange(each * len(words)) + 0.5) / RATE)
        sound = np.concatenate([np.zeros(edge), tone, np.zeros(2 * edge)]).astype(np.float32)
        starts = [edge + number * each for number in range(len(words))]
        return sound, tuple(TimedWord(word, at, at + each) for word, at in zip(words, starts, strict=True))


def hummed(recipe: Recipe) -> Scene:
    return make_scene("talk-a.toml", recipe, cast(Any, Hummer()))


def talk(*turns: tuple[str, str, float], **more: Any) -> Recipe:
    people = {name: TalkSpeaker(voice="af_heart") for name in ("Ada", "Ben", "Eve")}
    said = tuple(TalkTurn(speaker=name, text=text, gap=gap) for name, text, gap in turns)
    return Recipe(title="a talk", speakers=people, turns=said, **more)


PLAIN = talk(("Ada", "One two three.", 0.4), ("Ben", "Four five. Six.", 0.7), ("Ada", "Seven eight.", -0.2))


def test_speakers_are_where_the_sound_is() -> None:
    made = hummed(PLAIN)
    first, second, third = made.turns
    assert first.start == pytest.approx(0.5)
    assert second.start == pytest.approx(first.end + 0.7, abs=2 / SAMPLE_RATE)
    assert third.start == pytest.approx(second.end - 0.2, abs=2 / SAMPLE_RATE)
    assert made.overlap == pytest.approx(0.2, abs=2 / SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(made.clean) > 0.02) / SAMPLE_RATE
    edges = loud[:-1][np.diff(loud) > 0.1], loud[1:][np.diff(loud) > 0.1]  # ends and starts around pauses
    ends, starts = [*edges[0], loud[-1]], [loud[0], *edges[1]]
    pause = next(word[2] for word in second.words if word[0] == "five.")
    assert starts == pytest.approx([first.start, second.start, pause + 0.3], abs=0.002)
    assert ends == pytest.approx([first.end, pause, third.end], abs=0.002)
    assert [word for word, _, _ in second.words] == ["Four", "five.", "Six."]
    for turn in made.turns:
        times = [time for _, start, end in turn.words for time in (start, end)]
        assert times == sorted(times)
        assert (times[0], times[-1]) == pytest.approx((turn.start, turn.end), abs=0.001)


def test_the_same_recipe_gives_the_same_samples() -> None:
    noisy = PLAIN.model_copy(update={"noise": Noise(snr_db=10), "room_s": 0.3})
    one, again = hummed(noisy), hummed(noisy)
    assert np.array_equal(one.sound, again.sound)
    assert not np.array_equal(one.sound, hummed(noisy.model_copy(update={"seed": 2})).sound)
    assert np.array_equal(one.clean, hummed(PLAIN).sound)


@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
@pytest.mark.parametrize("snr_db", [0, 12, 30])
def test_the_noise_is_as_asked(snr_db: float, colour: Any) -> None:
    made = hummed(PLAIN.model_copy(update={"noise": Noise(snr_db=snr_db, colour=colour)}))
    noise = made.sound.astype(float) - made.clean
    found = 10 * np.log10(active_level(made.clean) / np.mean(np.square(noise)))
    assert found == pytest.approx(snr_db, abs=0.2)


def test_a_room_moves_nothing() -> None:
    rng = np.random.default_rng(1)
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[4000:4160] = rng.normal(0, 0.3, 160)
    made = in_room(click, 0.5)
    assert len(made) == len(click)
    lag = np.argmax(np.correlate(made, click[3900:4300], "valid")) - 3900
    assert lag == 0
    assert np.square(made[4400:]).sum() > 0.01 * np.square(made).sum()  # it reverberates
    assert active_level(made) == pytest.approx(active_level(click), rel=0.01)


SHORT = SpokenTurn(np.ones(RATE, np.float32), ())  # 1 s


@pytest.mark.parametrize(
    ("turns", "sentence"),
    [
        (
            (("Ada", "x", 0.4), ("Ben", "x", -1.5)),
            r"talk-a\.toml, turn 2: an overlap of 1\.5 s is longer than turn 1, which lasts 1\.0 s\. Write a gap of at "
            r"least -1\.0\.",
        ),
        ((("Ada", "x", 0.4), ("Ben", "x", -0.6), ("Ada", "x", -0.9)), r"turn 3: Ada still speaks at 1\.\d s\."),
        ((("Ada", "x", 0.4), ("Ada", "x", 0.0)), r"turn 2: Ada still speaks at 1\.5 s\. Write a longer gap"),
        (tuple(("Ada", "x", 0.4) for _ in range(50)), r"lasts 70 s\. Leave out turns: at most 60 s\."),
    ],
)
def test_overlaps_that_cannot_be(turns: tuple[tuple[str, str, float], ...], sentence: str) -> None:
    recipe = talk(*turns)
    with pytest.raises(BadInput, match=sentence):
        place("talk-a.toml", recipe, tuple(SHORT for _ in turns))


def test_an_overlap_may_not_be_longer_than_its_own_turn() -> None:
    brief = replace(SHORT, sound=SHORT.sound[: RATE // 2])
    with pytest.raises(BadInput, match=r"overlap of 0\.8 s is longer than turn 2, which lasts 0\.5 s"):
        place("talk-a.toml", talk(("Ada", "x", 0.4), ("Ben", "x", -0.8)), (SHORT, brief))


def test_without_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="stt-lab models pull kokoro-82m"):
        open_voices(Settings(data_dir=tmp_path, models_dir=tmp_path))


# Words and their sounds


def test_words_that_are_spoken_as_one_are_told_apart() -> None:
    words = ["We", "sat", "on", "the", "bench", "at", "the", "end", "of", "the", "pier."]
    made = dict(zip(words, per_word(words, "en"), strict=True))
    assert (made["on"], made["of"], made["pier."]) == ("ɔn", "ʌv", "pˈɪɹ.")
    assert per_word(["None", "of", "them", "had", "to", "do", "it."], "en")[3:5] == ["hæd", "tə"]


def test_words_without_a_sound_are_refused() -> None:
    with pytest.raises(BadInput, match=r"[Ww]rite it otherwise"):
        per_word(["Well", "…", "no."], "en")


def test_an_inner_value_becomes_an_output() -> None:
    assert also_returns("ab") == bytes([0x3A, 6, 0x62, 4, 0x0A, 2]) + b"ab"
    assert len(also_returns("a" * 200)) == 200 + 3 * 3
    assert also_returns("a" * 200)[:3] == bytes([0x3A, 0xCE, 0x01])


# The real voices


@pytest.fixture(scope="module")
def voices() -> TimedKokoro:
    try:
        return open_voices(get_settings())
    except ModelMissing as problem:
        missing(str(problem))


@pytest.mark.truth
def test_words_are_where_the_network_put_them(voices: TimedKokoro) -> None:
    """The sound is as long as all frames together, and the first and the last word stand where it is loud."""
    plain = VoiceMix((("af_heart", 1.0),))
    for text in ("Good morning, this is a test of the boats.", "Nobody knows where the piano stands."):
        sound, words = voices.timed(text, "en", plain, 1.0)
        assert [word.text for word in words] == text.split()
        assert len(sound) % FRAME == 0
        times = [at for word in words for at in (word.start, word.end)]
        assert times == sorted(times)
        loud = np.flatnonzero(np.abs(sound) > 0.01)
        assert words[0].start / RATE == pytest.approx(loud[0] / RATE, abs=0.06)
        assert -0.1 < words[-1].end / RATE - loud[-1] / RATE < 0.4  # its last sound fades
    again, _ = voices.timed(text, "en", plain, 1.0)
    assert np.array_equal(sound, again)
    plainly = voices.speak(text, "en", plain, 1.0, lambda event: None)
    assert len(plainly.samples) < len(sound)


@pytest.mark.truth
def test_a_recording_with_its_references(voices: TimedKokoro, tmp_path: Path) -> None:
    path = tmp_path / "talk-small.toml"
    path.write_text(
        GOOD.replace("[speakers]", "noise = { snr_db = 20 }\n[speakers]")
        + '[[turns]]\nspeaker = "Ben"\ntext = "Hello to you."\ngap = -0.1\n',
        "utf-8",
    )
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    row = make_talk(path, tmp_path / "one", get_settings())
    make_talk(path, tmp_path / "two", get_settings())
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
    with wave.open(str(tmp_path / "one" / "talk-small.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (SAMPLE_RATE, 1)
    assert row["text"] == "Good morning. Hello to you."
    manifest = {"id": "a", "path": "talk-small.wav", **row}
    (tmp_path / "one" / "manifest.jsonl").write_text(json.dumps(manifest) + "\n", "utf-8")
    (item,) = read_manifest(tmp_path / "one" / "manifest.jsonl").items
    assert item.turns
    assert item.segments
    assert item.words
    assert [word.text for word in item.words] == row["text"].split()
    assert [turn.speaker for turn in item.turns] == ["Ada", "Ben"]
    assert item.turns[1].start == pytest.approx(item.turns[0].end - 0.1, abs=0.002)
    assert item.segments[1].text == "Hello to you."
