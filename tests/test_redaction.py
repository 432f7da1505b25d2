"""Personal data taken out of texts, transcripts and recordings."""

from __future__ import annotations

import io
import json
import re
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
from toy_server import KEY, Served, Toy, serve, settings_for, until, wav

from stt_lab.client import Client
from stt_lab.engines.pii.hits import PiiHit, settle
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import PII
from stt_lab.errors import Cancelled, Unavailable
from stt_lab.privacy.mask import FADE, PADDING, padded, replaced, write
from stt_lab.privacy.redaction import (
    BLACK,
    UNCASED,
    placed,
    redact_transcript,
    redacted,
    redaction_warnings,
    spoken,
    written,
)
from stt_lab.privacy.relisten import ROUNDS, Relistener, RemovedValue, returns
from stt_lab.types import (
    SAMPLE_RATE,
    Audio,
    Entity,
    Event,
    Segment,
    Span,
    Suppressed,
    Transcript,
    Turn,
    Unrecognized,
    Word,
    silent,
)
from stt_lab.weights import catalog
from stt_lab.writing.tools import Tools

MODES: Any = ("mark", "mask", "hash")


# Texts


TEXT = "Ada called Ben on 0113 496 0127, and then (0113) 4960127. Ada left."


def marked(text: str) -> tuple[Entity, ...]:
    wanted = (("PERSON", "Ada|Ben"), ("PHONE_NUMBER", r"\(?0113[\d )]+\d"))
    hits = ((label, PiiHit(*one.span(), 1.0)) for label, form in wanted for one in re.finditer(form, text))
    return settle(text, hits)


def test_modes() -> None:
    entities = marked(TEXT)
    assert redacted(TEXT, entities, written("mark")) == (
        "[PERSON] called [PERSON] on [PHONE_NUMBER], and then [PHONE_NUMBER]. [PERSON] left."
    )
    masked = redacted(TEXT, entities, written("mask"))
    assert len(masked) == len(TEXT)
    assert all(one.of(masked) == BLACK * (one.end - one.start) for one in entities)
    hashed = redacted(TEXT, entities, written("hash"))
    marks = re.findall(r"\[[A-Z_]+:[0-9a-f]{8}\]", hashed)
    assert marks[0] == marks[4] != marks[1]  # Ada, not Ben
    assert marks[2] == marks[3]  # one telephone, however it is written
    assert hashed != redacted(TEXT, entities, written("hash"))  # another key: nobody can try numbers out


@given(st.text("Ada Ben0113 496.,\n", max_size=80), st.sampled_from(MODES))
def test_all_else_stays(text: str, mode: Any) -> None:
    entities = marked(text)
    assert all(one.of(text) == one.text for one in entities)
    made = redacted(text, entities, written(mode))
    starts, ends = [0, *(one.end for one in entities)], [*(one.start for one in entities), len(text)]
    between = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    pattern = r"(?:\[[A-Z_]+(?::[0-9a-f]{8})?\]|█+)".join(map(re.escape, between))
    assert re.fullmatch(pattern, made)
    assert entities == () or not re.search("Ada|Ben", made)


def test_texts_without_capitals_are_doubted() -> None:
    assert redaction_warnings("ada lives here", PII) == (UNCASED,)
    assert redaction_warnings("Ada lives here", PII) == redaction_warnings("ada", ("CREDIT_CARD",)) == ()


# Transcripts


def segment(start: float, text: str, speaker: str | None = None, words: bool = True) -> Segment:
    parts = text.split(" ")
    made = [Word(start + i, start + i + 0.8, f" {part}", 0.9, speaker) for i, part in enumerate(parts)]
    return Segment(start, start + len(parts), text, tuple(made) if words else (), speaker)


TOLD = Transcript(
    "en",
    30.0,
    (
        segment(0, "I am Ada Lovelace, hello.", "Speaker 1"),
        segment(10, "Ring 0113 496", "Grace"),
        segment(14, "0127 please, Ada's waiting.", "Grace"),
        segment(20, "Bye Ada", "Speaker 1", words=False),
    ),
    ("Speaker 1", "Grace"),
    "base",
    suppressed=(Suppressed(1, 2, "Ada", "nobody speaks"),),
    unrecognized=(Unrecognized(18, 19, "Grace"),),
    turns=(Turn(0, 5, "Speaker 1"), Turn(10, 18, "Grace")),
)
SAID = tuple(
    Entity(start, start + len(value), value, label)
    for value, label, after in (
        ("Ada Lovelace", "PERSON", 0),
        ("0113 496 0127", "PHONE_NUMBER", 0),
        ("Ada", "PERSON", 30),
        ("Ada", "PERSON", 60),
    )
    for start in [TOLD.text.index(value, after)]
)


def test_entities_lie_where_the_test_says() -> None:
    assert all(one.of(TOLD.text) == one.text for one in SAID)


def test_when_it_was_said() -> None:
    assert spoken(TOLD, SAID) == (Span(2, 3.8), Span(11, 14.8), Span(16, 16.8), Span(20, 22))
    odd = replace(TOLD.segments[0], words=TOLD.segments[0].words[:2])  # words that are not all of the text
    assert placed(odd) is None
    assert spoken(replace(TOLD, segments=(odd,)), SAID[:1]) == (Span(0, 5),)


def test_a_transcript_without_personal_data() -> None:
    made = redact_transcript(TOLD, SAID, written("mark"))
    assert [one.text for one in made.segments] == [
        "I am [PERSON], hello.",
        "Ring [PHONE_NUMBER]",
        "[PHONE_NUMBER] please, [PERSON]'s waiting.",
        "Bye [PERSON]",
    ]
    assert made.speakers == ("Speaker 1", "Speaker 2")
    assert [word.text for word in made.segments[0].words] == [" I", " am", " [PERSON],", " hello."]
    assert (made.segments[0].words[2].start, made.segments[0].words[2].end) == (2, 3.8)
    assert {word.speaker for word in made.segments[1].words} == {"Speaker 2"}
    assert made.turns[1].speaker == made.unrecognized[0].speaker == "Speaker 2"
    told = repr(made)
    assert not any(secret in told for secret in ("Ada", "Lovelace", "Grace", "0113", "0127"))
    for one in made.segments[:3]:
        assert "".join(word.text for word in one.words).strip() == one.text
    hashed = redact_transcript(TOLD, SAID, written("hash"))
    assert hashed.segments[1].text.split()[-1] == hashed.segments[2].text.split()[0]  # one number, in two parts
    masked = redact_transcript(TOLD, SAID, written("mask"))
    assert len(masked.text) == len(TOLD.text)
    kept = redact_transcript(TOLD, (), written("mark"), ("PHONE_NUMBER",))
    assert (kept.segments, kept.speakers) == (TOLD.segments, TOLD.speakers)


def test_names_are_numbered_past_those_that_are_taken() -> None:
    told = replace(TOLD, speakers=("Grace", "Speaker 1"))
    assert redact_transcript(told, (), written("mark")).speakers == ("Speaker 2", "Speaker 1")


# Sound


def audio_of(folder: Path, seconds: float = 3.0) -> Audio:
    samples = int(seconds * SAMPLE_RATE)
    tone = np.rint(8000 * np.sin(np.arange(samples) / 9)).astype("<i2")
    (folder / "a.pcm").write_bytes(tone.tobytes())
    return Audio(folder / "a.pcm", samples)


def test_padding() -> None:
    wide = padded([(Span(0.1, 0.5), 0.2), (Span(2, 2.5), 0.1), (Span(0.8, 0.9), 0.2), (Span(2.9, 3), 1)], 3.0)
    assert wide == (Span(0, 1.1), Span(1.9, 3.0))
    assert padded([], 3.0) == ()


@pytest.mark.parametrize("sound", ["silence", "tone"])
def test_replaced_sound(tmp_path: Path, sound: Any) -> None:
    audio = audio_of(tmp_path)
    spans = (Span(0.5, 1.0), Span(2.0, 2.25))
    whole = replaced(audio, 0, audio.samples, spans, sound)
    before = audio.read()
    parts = [replaced(audio, start, start + 7001, spans, sound) for start in range(0, audio.samples, 7001)]
    assert np.array_equal(np.concatenate(parts), whole)
    times = np.arange(audio.samples) / SAMPLE_RATE
    near = np.zeros(audio.samples, bool)
    for span in spans:
        inside = (times >= span.start) & (times < span.end)
        near |= (times > span.start - FADE) & (times < span.end + FADE)
        level = np.abs(whole[inside]).max()
        assert level == 0 if sound == "silence" else 0.05 < level <= 0.1
        without = np.convolve(whole[inside], np.sin(np.arange(400) / 9), "valid")  # of the old tone
        assert (
            np.abs(without).max() < 0.1 * np.abs(np.convolve(before[inside], np.sin(np.arange(400) / 9), "valid")).max()
        )
    assert np.array_equal(whole[~near], before[~near])
    assert np.abs(np.diff(whole)).max() <= np.abs(np.diff(before)).max() + 0.05  # no click


def test_a_wave_file_without_a_name(tmp_path: Path) -> None:
    audio, events = audio_of(tmp_path, 25), []
    with write(audio, (Span(1, 2),), "silence", tmp_path, events.append) as file, wave.open(file, "rb") as made:
        assert (made.getnframes(), made.getframerate(), made.getnchannels()) == (audio.samples, SAMPLE_RATE, 1)
    assert [event.fraction for event in events] == pytest.approx([0, 0.4, 0.8, 1])

    def stop(event: Event) -> None:
        raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        write(audio, (), "silence", tmp_path, stop)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcm"]


# Whether it can still be heard


@pytest.mark.parametrize(
    ("value", "heard", "left", "found"),
    [
        ("Elena Marchetti", "hello Elena, how are you", "hello how are you", [1]),
        ("Elena", "hello, how are you", "hello how are you", []),
        ("Elena", "so Elena came", "so Elena came", []),  # another one, that was left on purpose
        ("0113 496 0127", "ring 496 0 one 27 now", "ring now", [1, 2, 3, 4]),
        ("oh double one three", "call 0113", "call", [1]),
        ("0113 496 0127", "in 2019 we had 496", "in 2019 we had", []),  # three digits say nothing
        ("9 Saltmarket Row", "at Salt market row", "at", [3]),
        ("elena@bread.example", "write to elena at bread", "write to", [2, 4]),
    ],
)
def test_what_comes_back(value: str, heard: str, left: str, found: list[int]) -> None:
    assert returns(value, heard.split(), left.split()) == found


class Ears(Pool):
    """Hears the name for as long as its place is not taken out widely enough."""

    def __init__(self, needed: float) -> None:
        self.needed, self.listened = needed, 0

    def transcribe(self, model: Any, audio: Audio, *rest: Any) -> Any:
        self.listened += 1
        quiet = (audio.read() == 0).sum() / SAMPLE_RATE
        text = "I am" if quiet >= self.needed else "I am Ada"
        return replace(TOLD, segments=(segment(0, text),), turns=())


def listener(tmp_path: Path, ears: Ears) -> Relistener:
    audio = audio_of(tmp_path, 30)
    return Relistener(Tools(ears, silent), audio, TOLD, catalog.get("base"), "silence", tmp_path)


def test_more_is_taken_out_until_nothing_is_heard(tmp_path: Path) -> None:
    gone = [RemovedValue("Ada Lovelace", Span(10.0, 11.0))]
    ears = Ears(0)
    assert listener(tmp_path, ears).silenced(gone) == (Span(10 - PADDING, 11 + PADDING),)
    ears = Ears(1.5)
    (span, *_) = [one for one in listener(tmp_path, ears).silenced(gone) if one.overlap(Span(10, 11)) > 0]
    assert span.start < 10 - PADDING
    assert ears.listened == 2
    with pytest.raises(Unavailable, match="cannot be redacted"):
        listener(tmp_path, Ears(1000)).silenced(gone)
    assert listener(tmp_path, Ears(1000)).silenced([]) == ()
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcm"]
    assert ROUNDS == 4


# The operation, over HTTP


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("redaction"))) as made:
        yield made


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30) as made:
        yield made


def stored(served: Served, client: httpx.Client, *lines: str) -> int:
    """The number of a transcript with these lines."""
    recording = wav(served.settings.data_dir / "a.wav", 4.0).read_bytes()
    Toy.lines = lines
    files = {"file": ("Ada's.wav", recording)}
    number: int = client.post("/v1/transcribe", files=files, data={"model": "base"}).json()["id"]
    return number


def test_redacted_files(served: Served, client: httpx.Client) -> None:
    number = stored(served, client, "This is Ada.", "Ada who?")
    path = f"/api/v1/transcripts/{number}/redact/"
    for format in ("txt", "srt", "vtt", "json", "csv", "docx", "pdf"):
        answer = client.post(path, json={"format": format})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"].startswith(f'attachment; filename="transcript-{number}-redacted.')
        assert b"Ada" not in answer.content
    assert client.post(path, json={}).text == "Speaker 1: This is [PERSON].\n\nSpeaker 2: [PERSON] who?\n"
    assert BLACK * 3 in client.post(path, json={"mode": "mask"}).text
    assert len(set(re.findall(r"\[PERSON:\w{8}\]", client.post(path, json={"mode": "hash"}).text))) == 1
    assert "Ada" in client.post(path, json={"types": ["CREDIT_CARD"]}).text
    keyed = {"Idempotency-Key": "once"}
    assert client.post(path, json={}, headers=keyed).text == client.post(path, json={}, headers=keyed).text
    told = json.loads(client.post(path, json={"format": "json"}).text)
    assert [word["word"] for word in told["segments"][1]["words"]] == ["PERSON", "who"]


def test_the_client(served: Served, client: httpx.Client, tmp_path: Path) -> None:
    number = stored(served, client, "This is Ada.")
    with Client(served.url, KEY) as ours:
        path = ours.transcripts.redact(number, tmp_path / "a.txt", mode="mask")
    assert path.read_text("utf-8") == f"Speaker 1: This is {BLACK * 3}.\n"


def test_given_names_are_redacted(served: Served, client: httpx.Client) -> None:
    number = stored(served, client, "Zoe here.", "Zoe?")
    client.patch(f"/api/v1/transcripts/{number}/", json={"speakers": {"Speaker 1": "Zoe"}}).raise_for_status()
    told = client.post(f"/api/v1/transcripts/{number}/redact/", json={}).text
    assert told == "Speaker 1: [PERSON] here.\n\nSpeaker 2: [PERSON]?\n"


def test_redacted_sound(served: Served, client: httpx.Client) -> None:
    number = stored(served, client, "one two three four", "five six seven eight")
    path = f"/api/v1/transcripts/{number}/redact/"
    answer = client.post(path, json={"format": "wav"})
    assert answer.status_code == 200, answer.text
    with wave.open(io.BytesIO(answer.content)) as made:
        assert made.getnframes() == 4 * SAMPLE_RATE
    number = stored(served, client, "This is Ada.", "Who?")  # and the toy says so whatever it hears
    refused = client.post(f"/api/v1/transcripts/{number}/redact/", json={"format": "wav"})
    assert refused.status_code == 503
    assert "cannot be redacted" in refused.json()["error"]
    work = served.settings.data_dir / "work"
    until(lambda: not list(work.iterdir()))


def test_a_recording_that_is_not_kept(tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    with (
        serve(settings_for(tmp_path, keep_audio=False)) as served,
        httpx.Client(base_url=served.url, headers=headers, timeout=30) as client,
    ):
        number = stored(served, client, "This is Ada.")
        answer = client.post(f"/api/v1/transcripts/{number}/redact/", json={"format": "wav"})
        assert (answer.status_code, "not kept" in answer.text) == (404, True)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"format": "mp3"}, "format"),
        ({"mode": "erase"}, "mode"),
        ({"types": ["NAME"]}, "use PERSON"),
        ({"types": [None]}, "types"),
        ({"sound": "bark"}, "sound"),
        ({"extra": 1}, "Unknown parameter 'extra'"),
    ],
)
def test_bad_input(served: Served, client: httpx.Client, body: dict[str, Any], says: str) -> None:
    number = stored(served, client, "Hello.")
    answer = client.post(f"/api/v1/transcripts/{number}/redact/", json=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    assert client.post("/api/v1/transcripts/none/redact/", json={}).status_code == 404
