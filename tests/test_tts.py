"""Speech in a voice: what is read out, references, joins, the mark, and the operation on its surfaces."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import missing
from references import audio, buzz, wav_of
from scipy.signal import resample_poly
from toy_server import KEY, MINE, Served, Toy, ToySpeaker, serve, settings_for, until

from stt_lab.client import Client
from stt_lab.engines.hosts.environment import worker_environ
from stt_lab.engines.kokoro import LONGEST, RATE, TOKENS, KokoroSpeaker, moved
from stt_lab.engines.phonemes import phonemes
from stt_lab.engines.pieces import split, trimmed
from stt_lab.engines.protocols import EngineSpec, Speaker, VoiceCopy, VoiceMatch, VoiceMix
from stt_lab.engines.voice_match import RATES, TABLE, USUAL_RATE, between_groups, median_pitch, packs, rate_ratio
from stt_lab.engines.voice_print import mel_filters
from stt_lab.errors import BadInput
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE, silent
from stt_lab.voice import synthetic_wav
from stt_lab.voice.reading import cardinal, ordinal, readable, year
from stt_lab.voice.reference import check_reference
from stt_lab.voice.speech import NAMES, SPOKEN, VoiceMatches, lines_of
from stt_lab.voice.speech import spoken_language as language_among
from stt_lab.weights import catalog

# What is read out


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (
            "Dr. Smith paid $3.50 for 3.5 kg.",
            "Doctor Smith paid three dollars and fifty cents for three point five kilograms.",
        ),
        ("On 2024-05-03 at 7:05 p.m.", "On May third, twenty twenty-four at seven oh five P M"),
        ("In 1984, the 1990s and 2005.", "In nineteen eighty-four, the nineteen nineties and two thousand five."),
        (
            "No. 5 was 1,234,567.89.",
            "number five was one million two hundred thirty-four thousand five hundred sixty-seven point eight nine.",
        ),
        (
            "At 9:00, 10-12 km/h, -5°C.",
            "At nine o'clock, ten to twelve kilometers an hour, minus five degrees Celsius.",
        ),
        ("March 3rd, 2021, or the 4th of July", "March third, twenty twenty-one, or the fourth of July"),
        (
            "It costs $1, £2m or €1.5 billion.",
            "It costs one dollar, two million pounds or one point five billion euros.",
        ),
        (
            "Call 0049 for 20% & more, e.g. tea.",
            "Call zero zero four nine for twenty percent and more, for example tea.",
        ),
        ("No. That is no. 7, etc.", "No. That is no. seven, et cetera."),
        ("<speak>Hi <b>there</b></speak> 😀 *bold* [x]", "Hi there bold x"),
        ("The 21st of the 3 million", "The twenty-first of the three million"),
    ],
)
def test_what_is_abbreviated_is_written_out(written: str, read: str) -> None:
    assert readable(written, "en") == read


def test_other_languages_keep_their_numbers() -> None:
    assert readable("Cuesta 25 euros.", "es") == "Cuesta 25 euros."


@given(st.integers(0, 10**15 - 1))
def test_numbers_in_words_can_be_read_back(number: int) -> None:
    assert _value(cardinal(number)) == number


def _value(words: str) -> int:
    """Read a number in words: not the way in which it was written."""
    small = {cardinal(n): n for n in range(100)}
    scales = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
    total = part = 0
    for word in words.split():
        if word in scales:
            total, part = total + part * scales[word], 0
        else:
            part = part * 100 if word == "hundred" else part + small[word]
    return total + part


def test_ordinals_and_years() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 12, 20, 21, 100)] == [
        *("first", "second", "third", "twelfth", "twentieth", "twenty-first", "one hundredth"),
    ]
    assert [year(n) for n in (1066, 1900, 1906, 2000, 2019)] == [
        *("one thousand sixty-six", "nineteen hundred", "nineteen oh six", "two thousand", "twenty nineteen"),
    ]


@pytest.mark.parametrize("text", ["a" * 20_000, "7" * 20_000, "<" * 20_000, "1," * 10_000, "$" * 20_000, "1:" * 10_000])
def test_long_words_take_no_time(text: str) -> None:
    began = time.process_time()
    readable(text, "en")
    assert time.process_time() - began < 2


@given(st.text(max_size=200))
def test_any_text_is_made_readable(text: str) -> None:
    assert "\0" not in readable(text, "en")


def test_sentences_have_pauses() -> None:
    lines = lines_of("Hello Mr. Smith! How are you?\n\nA new paragraph: yes, and 3.5", "en")
    assert [line.text for line in lines] == [
        *("Hello Mister Smith!", "How are you?", "A new paragraph: yes, and three point five"),
    ]
    assert lines[1].pause > lines[0].pause > 0 == lines[2].pause


@pytest.mark.parametrize("text", ["...", "😀😀", "<speak></speak>", " \n", "—!?"])
def test_nothing_to_say(text: str) -> None:
    with pytest.raises(BadInput, match="no letters"):
        lines_of(text, "en")


def spoken_language(wanted: str, text: str) -> str:
    return language_among(wanted, text, {code: NAMES[code] for code in SPOKEN["kokoro"]})


def test_languages() -> None:
    assert spoken_language("en-GB", "x") == spoken_language("English", "x") == "en"
    assert spoken_language("auto", "Ich") == "en"  # too short to be told
    assert spoken_language("auto", "Buenos días, ¿cómo está usted esta mañana tan hermosa de primavera?") == "es"
    with pytest.raises(BadInput, match=r"'de' cannot be spoken\. Choose from en \(English\), es"):
        spoken_language("de", "x")
    with pytest.raises(BadInput, match="seems to be in 'de'"):
        spoken_language(
            "auto", "Guten Morgen, meine Damen und Herren, wir beginnen heute mit einer langen Rede über das Wetter."
        )


# Phonemes and pieces


def test_phonemes_are_those_that_the_model_knows() -> None:
    assert phonemes("Hello, world!", "en") == "həlˈO, wˈɜɹld!"
    assert phonemes("The judge changed the oil.", "en") == "ðə ʤˈʌʤ ʧˈAnʤd ðɪ ˈYl."
    samples = {
        "es": "¿Dónde está?",
        "fr": "Je voudrais manger.",
        "hi": "नमस्ते दुनिया",
        "it": "Ciao, come stai?",
        "pt": "Olá, tudo bem?",
    }
    for language, text in (samples | {"en": "A quick brown fox, really? Yes: it jumps (often)."}).items():
        made = phonemes(text, language)
        assert made
        assert not {char for char in made if char not in TOKENS and char != "-"}, (language, made)
    assert set(samples) | {"en"} == set(SPOKEN["kokoro"])


@given(st.text("abc ,.", max_size=900), st.integers(3, 60))
def test_pieces_are_short_and_lose_nothing(text: str, longest: int) -> None:
    pieces = list(split(text, longest))
    assert all(0 < len(piece) <= longest for piece in pieces)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


def test_a_long_text_is_split_at_clauses() -> None:
    clause = "a" * 150 + ", "
    assert [len(piece) for piece in split(clause * 4, LONGEST)] == [303, 303]
    assert LONGEST < 510


def test_pieces_join_without_a_click() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE + 1)).astype(np.float32)
    sound = np.concatenate([np.zeros(RATE, np.float32), tone, np.zeros(RATE, np.float32)])
    made = trimmed(sound, RATE)
    assert RATE < len(made) < 1.1 * RATE
    hard = trimmed(tone, RATE)  # begins in the middle of a wave
    assert abs(hard[0]) < 1e-6 > abs(hard[-1])
    whole = np.concatenate([hard, np.zeros(100, np.float32), hard])
    assert np.abs(np.diff(whole)).max() <= np.abs(np.diff(tone)).max() * 1.1


def test_the_pitch_moves() -> None:
    t = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 200 * t).astype(np.float32)
    made = moved(tone, 1.1)
    assert len(made) == pytest.approx(len(tone) / 1.1, abs=2)
    peak = np.argmax(np.abs(np.fft.rfft(made))) * RATE / len(made)
    assert peak == pytest.approx(220, abs=1)
    assert np.abs(made[20:-20] - np.sin(2 * np.pi * 220 * t)[20 : len(made) - 20]).max() < 0.01


# References


@pytest.mark.parametrize(
    ("sound", "sentence"),
    [
        (buzz(2.5), "too short .2.5 s"),
        (buzz(11), "too long .11.0 s"),
        (np.zeros(5 * SAMPLE_RATE), "silent"),
        (np.clip(buzz(5) * 9, -0.9, 0.9), "clipped"),
    ],
)
def test_what_is_no_reference(tmp_path: Path, sound: np.ndarray, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        check_reference(audio(tmp_path / "a.pcm", sound))


def test_a_reference(tmp_path: Path) -> None:
    for seconds in (3.0, 10.0):
        check_reference(audio(tmp_path / "a.pcm", buzz(seconds)))


@pytest.mark.parametrize("hertz", [90.0, 140.0, 230.0])
def test_pitches_are_found(hertz: float) -> None:
    assert median_pitch(buzz(2, hertz).astype(np.float32)) == pytest.approx(hertz, rel=0.02)
    assert median_pitch(np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)) == 0.0


def test_the_speed_of_a_reference() -> None:
    words = "The morning train was late again, so everybody waited on the platform."
    count = len(re.sub(r"[ ,.ˈˌ]", "", phonemes(words, "en")))
    known = VoiceCopy(np.zeros(1, np.float32), SAMPLE_RATE, words, "en")
    usual = count / USUAL_RATE["en"]  # seconds
    assert [rate_ratio(known, seconds) for seconds in (usual, usual / 1.1, usual / 3, usual * 3)] == [
        *(pytest.approx(1.0), pytest.approx(1.1), RATES[1], RATES[0]),
    ]
    for unknown in (replace(known, language="de"), replace(known, language=None), replace(known, words="Yes.")):
        assert rate_ratio(unknown, 9.0) == 1.0


def test_two_groups_of_windows() -> None:
    same, other = 0.9, 0.1
    two = np.array([[1, same, other, other], [same, 1, other, other], [other, other, 1, same], [other, other, same, 1]])
    assert between_groups(two) == pytest.approx(other)
    assert between_groups(np.full((4, 4), same) + 0.1 * np.eye(4)) > 0.8
    assert between_groups(np.ones((1, 1))) == 1.0


def test_mel_filters_are_those_of_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    theirs = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=512, n_mels=40)
    assert np.abs(mel_filters() - theirs).max() < 1e-6


def test_the_table_of_packs() -> None:
    table = packs(TABLE)
    model = catalog.get("kokoro-voices")
    assert {f"voices/{one.voice.parts[0][0]}.bin" for one in table} == {item.file for item in model.embedded}
    assert len(table) == 54
    for one in table:
        assert np.linalg.norm(one.print.campplus) == pytest.approx(1, abs=1e-3)
        assert np.linalg.norm(one.print.dvector) == pytest.approx(1, abs=1e-3)
    pitches = {one.voice.parts[0][0]: one.pitch for one in table}
    women = [pitch for name, pitch in pitches.items() if name[1] == "f"]
    men = [pitch for name, pitch in pitches.items() if name[1] == "m"]
    assert np.median(women) > 1.3 * np.median(men) > 90


def test_a_reference_is_matched_once(tmp_path: Path) -> None:
    matches, asked = VoiceMatches(kept=2), []
    model = catalog.get("kokoro-82m")

    def match() -> VoiceMatch:
        asked.append(1)
        return VoiceMatch(VoiceMix((("af_heart", 1.0),)), 0.5)

    sounds = [audio(tmp_path / f"{n}.pcm", buzz(1, 100 + n)) for n in range(3)]
    for number in (0, 0, 1, 2, 0):
        matches.find(sounds[number], model, match)
    assert len(asked) == 4  # the first one had been forgotten


# The mark


def chunks_of(content: bytes) -> dict[bytes, bytes]:
    at, found = 12, {}
    while at < len(content):
        name, size = content[at : at + 4], struct.unpack("<I", content[at + 4 : at + 8])[0]
        found[name] = content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found


def test_the_mark_of_synthetic_speech() -> None:
    sound = bytes(range(200))
    content = synthetic_wav.header(24_000, 100, "kokoro-82m", "2026-01-31") + sound
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    found = chunks_of(content)
    assert list(found) == [b"fmt ", b"bext", b"LIST", b"data"]
    assert found[b"data"] == sound
    assert b"Synthetic speech" in found[b"LIST"]
    assert b"kokoro-82m" in found[b"LIST"]
    assert found[b"bext"].startswith(b"Synthetic speech, not a recording of a person. Made by kokoro-82m.")
    assert found[b"bext"][320:330] == b"2026-01-31"
    assert len(found[b"bext"]) > 602
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (24_000, 100, 1)


# The operation, with an engine of the test's own


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("tts"))) as running:
        yield running


@pytest.fixture(scope="module")
def reference() -> bytes:
    with io.BytesIO() as file:
        with wave.open(file, "wb") as writer:
            writer.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            writer.writeframes((buzz(4) * 32767).astype("<i2").tobytes())
        return file.getvalue()


def ask(server: Served, reference: bytes, who: dict[str, str] = MINE, **fields: Any) -> httpx.Response:
    files = {"reference": ("r.wav", reference)}
    return httpx.post(f"{server.url}/v1/tts", headers=who, files=files, data=fields, timeout=30)


def test_http(server: Served, reference: bytes) -> None:
    ToySpeaker.said, before = [], ToySpeaker.matched
    answer = ask(server, reference, text="Hello Dr. Smith. Bye!", speed="2")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as file:
        seconds = file.getnframes() / file.getframerate()
    assert float(answer.headers["x-duration"]) == pytest.approx(seconds, abs=1e-3) == 2 + 0.35 / 2
    assert answer.headers["x-engine"] == "kokoro-82m"
    assert answer.headers["x-similarity"] == "0.625"
    assert float(answer.headers["x-generation-time"]) > 0
    assert ToySpeaker.said == [("Hello Doctor Smith.", "en", 2.0), ("Bye!", "en", 2.0)]
    assert b"Synthetic speech" in answer.content[:1000]
    assert ask(server, reference, text="Again.").status_code == 200
    assert ToySpeaker.matched == before + 1  # the reference is known
    assert ToySpeaker.words == "Good morning. Hello there, friend."  # by which its speed is known


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"text": "x", "language": "de"}, "Choose from en"),
        ({"text": "!!!"}, "no letters"),
        ({"text": "a" * 20_001}, "at most 20000"),
        ({"text": ""}, "text"),
        ({"text": "x", "speed": "3"}, "speed"),
        ({}, "text"),
    ],
)
def test_bad_requests(server: Served, reference: bytes, fields: dict[str, str], sentence: str) -> None:
    answer = ask(server, reference, **fields)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


def test_without_a_key_or_a_reference(server: Served, reference: bytes) -> None:
    assert ask(server, reference, who={}, text="x").status_code == 401
    missing = httpx.post(f"{server.url}/v1/tts", headers=MINE, data={"text": "x"})
    assert (missing.status_code, missing.json()["code"]) == (400, "missing_file")
    assert "too short" in ask(server, wav_of(buzz(1)), text="x").json()["error"]


def test_consent(server: Served, reference: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = server.app.state.installation.runtime
    monkeypatch.setattr(runtime, "settings", replace_settings(runtime.settings))
    refused = ask(server, reference, text="x")
    assert refused.status_code == 400
    assert "consent=true" in refused.json()["error"]
    assert ask(server, reference, text="x", consent="true").status_code == 200


def replace_settings(settings: Any) -> Any:
    return settings.model_copy(update={"require_consent": True})


def test_credits_are_those_of_the_output_and_cancel_costs_nothing(server: Served, reference: bytes) -> None:
    account = server.accounts.create("speaker", tier="paid").id
    server.accounts.grant(account, 30)
    who = {"Authorization": f"Bearer {server.accounts.create_key(account, 'k', ['speech'])[1]}"}
    assert ask(server, reference, who, text=" ".join(["Hello there."] * 50)).status_code == 200
    assert server.accounts.balance(account) == 28  # 50 s and 49 pauses
    Toy.seconds = 5.0
    try:
        job = ask(server, reference, who, text="One. Two. Three.", background="true").json()
        with httpx.Client(base_url=server.url, headers=who) as client:
            until(lambda: client.get(job["url"]).json()["stage"] == "speaking", 20)
            client.delete(job["url"])
            until(lambda: client.get(job["url"]).json()["status"] == "cancelled", 20)
    finally:
        Toy.seconds = 0.0
    assert server.accounts.balance(account) == 28
    until(lambda: not [one for one in (server.settings.data_dir / "work").rglob("*") if one.is_file()])


def test_the_python_client(server: Served, reference: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.wav").write_bytes(reference)
    with Client(server.url, KEY) as client:
        made = client.tts(tmp_path / "r.wav", "Hello there.", tmp_path / "out.wav", speed=1.5)
    assert b"Synthetic speech" in made.read_bytes()[:1000]


# The real engine


@pytest.fixture(scope="module")
def kokoro() -> KokoroSpeaker:
    model, settings = catalog.get("kokoro-82m"), get_settings()
    folder = catalog.locate(model, settings)
    if folder is None or not catalog.available(model, settings):
        missing("kokoro-82m is not installed: stt-lab models pull kokoro-82m")
    return KokoroSpeaker(EngineSpec(folder, model.id, threads=2, extra=catalog.extra(model, settings)))


@pytest.mark.truth
def test_the_real_engine_speaks(kokoro: KokoroSpeaker) -> None:
    assert isinstance(kokoro, Speaker)
    assert len(kokoro.voices()) == 54
    plain = VoiceMix((("af_heart", 1.0),))
    made = kokoro.speak("Good morning, this is a test.", "en", plain, 1.0, silent)
    seconds = len(made.samples) / made.sample_rate
    assert 1.0 < seconds < 4.0
    assert 0.05 < np.abs(made.samples).max() <= 1.0
    fast = kokoro.speak("Good morning, this is a test.", "en", plain, 1.5, silent)
    assert len(fast.samples) / made.sample_rate == pytest.approx(seconds / 1.5, rel=0.15)
    high = kokoro.speak("Good morning, this is a test.", "en", replace(plain, pitch=1.12), 1.0, silent)
    assert len(high.samples) == pytest.approx(len(made.samples), rel=0.1)
    slow = kokoro.speak("Good morning, this is a test.", "en", replace(plain, rate=0.8), 1.0, silent)
    assert len(slow.samples) / made.sample_rate == pytest.approx(seconds / 0.8, rel=0.15)


NEEDED = """
import sys
from pathlib import Path
from stt_lab.engines.kokoro import MODEL, PACKS, KokoroSpeaker
from stt_lab.engines.protocols import EngineSpec, VoiceMix
from stt_lab.engines.voice_match import PHRASE
network, packs = map(Path, sys.argv[1:])
speaker = KokoroSpeaker(EngineSpec(network, "kokoro-82m", extra=((PACKS, packs),)))
sound = speaker.say(PHRASE * 4, VoiceMix((("af_heart", 1.0),)), 1.0)
lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(len(sound) / 24_000, *(int(lines[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS")))
"""


@pytest.mark.truth
@pytest.mark.skipif(sys.platform != "linux", reason="a worker has glibc's tunables, and /proc, only there")
def test_a_long_piece_needs_little_memory_in_a_worker(kokoro: KokoroSpeaker) -> None:
    """It was 2.4 GB: a worker's heap, which keeps what is free, had holes of all sizes."""
    command = [sys.executable, "-c", NEEDED, str(kokoro.spec.folder), str(kokoro.folder)]
    environ = worker_environ("cpu", 1, "auto") | {"PYTHONPATH": str(Path(__file__).parents[1])}
    said = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=300).stdout
    seconds, most, kept = map(float, said.split())
    assert seconds > 9
    assert most < 1.2e9
    assert kept < 0.4e9


@pytest.mark.truth
def test_the_real_engine_matches_voices(kokoro: KokoroSpeaker, tmp_path: Path) -> None:
    """The best voice for one that it speaks itself is that one; music and two voices are refused."""
    text = "The morning train was late again, so everybody waited on the platform."
    sounds = {}
    for name in ("am_michael", "bf_emma"):
        spoken = kokoro.speak(text, "en", VoiceMix(((name, 1.0),)), 1.0, silent).samples
        sounds[name] = resample_poly(spoken, 2, 3)
    match = kokoro.match(audio(tmp_path / "a.pcm", sounds["am_michael"]), silent)
    assert "am_michael" in {name for name, _ in match.voice.parts}
    assert match.similarity > 0.7
    half = 2 * SAMPLE_RATE
    both = np.concatenate([sounds["am_michael"][:half], sounds["bf_emma"][:half]])
    with pytest.raises(BadInput, match="Two people"):
        kokoro.match(audio(tmp_path / "b.pcm", both), silent)
    with pytest.raises(BadInput, match="music or noise"):
        kokoro.match(audio(tmp_path / "c.pcm", 0.2 * np.random.default_rng(1).normal(0, 0.3, 4 * half)), silent)
