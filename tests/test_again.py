"""A second diarization and a second transcription of a part: what is new, and what people corrected, which stays."""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import Service, client_fixture, fakes_fixture, service_fixture, until  # noqa: F401

from stt_lab.accounts.accounts import Tier
from stt_lab.operations import again
from stt_lab.transcription.again import Talk, said_by, with_speakers, with_words
from stt_lab.transcription.edit import Draft, edited
from stt_lab.types import SAMPLE_RATE, Diarization, Provenance, Segment, Span, Turn, Unrecognized, Word

MADE = Provenance("toy", "toy", "cpu", "1")


def said(text: str, start: float, speaker: str | None = "A") -> Segment:
    """A segment with a word each second."""
    words = tuple(Word(start + i, start + i + 0.9, f" {word}", 0.5, speaker) for i, word in enumerate(text.split()))
    return Segment(words[0].start, words[-1].end, text, words, speaker)


def talk(*segments: Segment, names: dict[str, str] | None = None, **more: Any) -> Talk:
    labels = dict.fromkeys(one.speaker for one in segments if one.speaker)
    return Talk(segments, names or {label: label for label in labels}, 60.0, **more)


def corrected(before: Talk, *edits: dict[str, Any]) -> Talk:
    made: Draft = edited(before, edits)
    return replace(before, segments=made.segments, names=made.names)


def heard(*turns: tuple[float, float, str]) -> Diarization:
    made = tuple(Turn(*turn) for turn in turns)
    return Diarization(made, made, MADE)


def lines(made: Talk) -> list[tuple[str | None, str]]:
    return [(segment.speaker and made.names[segment.speaker], segment.text) for segment in made.segments]


def times(segments: Sequence[Segment]) -> list[float]:
    return [time for segment in segments for word in segment.words for time in (word.start, word.end)]


# Speakers

TALK = talk(
    said("One two three.", 0), said("Four five six.", 10, "B"), said("Seven eight nine.", 20),
    names={"A": "Ada", "B": "Bob"},
)  # fmt: skip


def test_speakers_keep_their_names() -> None:
    more = replace(TALK, segments=(said("One two three four five.", 0), *TALK.segments[1:]))
    made = with_speakers(more, heard((0, 13, "x"), (20, 23, "y")))
    expected = [("Ada", "One two three four five."), ("Ada", "Four five six."), ("Speaker 1", "Seven eight nine.")]
    assert lines(made) == expected
    assert [turn.speaker for turn in made.turns] == ["A", "Speaker 1"]
    assert times(made.segments) == times(more.segments)
    swapped = with_speakers(TALK, heard((0, 3, "y"), (10, 13, "x"), (20, 23, "y")))
    assert lines(swapped) == lines(TALK)


def test_corrected_segments_keep_words_and_speaker() -> None:
    fixed = corrected(TALK, {"op": "replace", "segment": 1, "from": 0, "to": 1, "text": "For"})
    made = with_speakers(fixed, heard((0, 23, "x")))
    assert lines(made) == [("Ada", "One two three."), ("Bob", "For five six."), ("Ada", "Seven eight nine.")]
    assert made.segments[1] is fixed.segments[1]


def test_speakers_that_people_chose_stay() -> None:
    more = (said("One two three and some more.", 0), *TALK.segments[1:])
    before = replace(TALK, segments=more, heard=said_by(more))
    fixed = corrected(before, {"op": "speaker", "segment": 2, "from": 0, "to": 3, "speaker": "Bob"})
    found = heard((0, 6, "x"), (10, 13, "y"), (20, 23, "x"))
    assert [who for who, _ in lines(with_speakers(fixed, found))] == ["Ada", "Bob", "Bob"]
    back = corrected(fixed, {"op": "speaker", "segment": 2, "from": 0, "to": 3, "speaker": "Ada"})
    assert [who for who, _ in lines(with_speakers(back, heard((0, 23, "x"))))] == ["Ada"] * 3
    without = replace(fixed, heard={})
    assert [who for who, _ in lines(with_speakers(without, found))] == ["Ada", "Bob", "Ada"]


def test_a_segment_of_two_speakers_is_cut() -> None:
    made = with_speakers(talk(said("One two. Three four.", 0)), heard((0, 2, "x"), (2, 4, "y")))
    assert lines(made) == [("A", "One two."), ("Speaker 1", "Three four.")]


def test_what_was_not_recognized_gets_the_speaker_who_is_heard() -> None:
    before = replace(TALK, unrecognized=(Unrecognized(5, 6, "B"), Unrecognized(30, 31, "B")))
    made = with_speakers(before, heard((0, 7, "x"), (10, 13, "y"), (20, 23, "x")))
    assert made.unrecognized == (Unrecognized(5, 6, "A"), Unrecognized(30, 31, None))


def test_a_transcript_without_speakers_gets_some() -> None:
    made = with_speakers(talk(said("One.", 0, None), said("Two.", 5, None)), heard((0, 1, "x"), (5, 6, "y")))
    assert lines(made) == [("Speaker 1", "One."), ("Speaker 2", "Two.")]
    assert lines(with_speakers(talk(), heard())) == []


# Words


def test_words_of_a_part_are_replaced() -> None:
    made = with_words(TALK, [said("New words here.", 10, None)], Span(9, 14))
    assert lines(made) == [("Ada", "One two three."), ("Bob", "New words here."), ("Ada", "Seven eight nine.")]
    assert made.segments[0] is TALK.segments[0]
    assert not any(word.corrected for word in made.segments[1].words)


def test_a_segment_is_cut_at_the_part() -> None:
    made = with_words(TALK, [said("new", 11, None), said("noise", 30, None)], Span(11, 12))
    assert lines(made) == [
        *[("Ada", "One two three."), ("Bob", "Four"), ("Bob", "new"), ("Bob", "six."), ("Ada", "Seven eight nine.")]
    ]
    kept = [word for segment in TALK.segments for word in segment.words if word.plain != "five"]
    assert [word for segment in made.segments for word in segment.words if word.plain != "new"] == kept


def test_corrected_words_stay() -> None:
    fixed = corrected(TALK, {"op": "replace", "segment": 1, "from": 1, "to": 2, "text": "FIVE"})
    made = with_words(fixed, [said("Fore fife sticks.", 10, None)], Span(9, 14))
    assert lines(made)[1] == ("Bob", "Fore FIVE sticks.")
    assert [word.corrected for word in made.segments[1].words] == [False, True, False]
    assert made.segments[1].words[1] == fixed.segments[1].words[1]
    assert times(made.segments) == sorted(times(made.segments))


def test_an_inserted_word_is_not_written_twice() -> None:
    tight = talk(Segment(0, 2, "a b", (Word(0, 1, " a", 0.5, "A"), Word(1, 2, " b", 0.5, "A")), "A"))
    fixed = corrected(tight, {"op": "replace", "segment": 0, "from": 1, "to": 1, "text": "missing"})
    found = Segment(0, 2, "a missing b", (Word(0, 0.8, " a"), Word(0.8, 1.2, " missing"), Word(1.2, 2, " b")))
    made = with_words(fixed, [found], Span(0, 2))
    assert lines(made) == [("A", "a missing b")]
    assert times(made.segments) == sorted(times(made.segments))


def test_nothing_found_removes_what_nobody_corrected() -> None:
    assert lines(with_words(TALK, [], Span(9, 30))) == [("Ada", "One two three.")]
    everything = with_words(TALK, [said("All new.", 3, None)], Span(0, 60))
    assert lines(everything) == [("Ada", "All new.")]


def test_new_words_in_a_gap_have_the_speaker_of_the_turn() -> None:
    before = replace(TALK, turns=(Turn(0, 3, "A"), Turn(5, 7, "B")), unrecognized=(Unrecognized(5, 7, "B"),))
    made = with_words(before, [said("Yes please.", 5, None)], Span(4, 8))
    assert lines(made)[1] == ("Bob", "Yes please.")
    assert made.unrecognized == ()


def test_a_text_without_word_times_goes_where_its_middle_is() -> None:
    before = talk(Segment(0, 4, "no times", (), "A"), Segment(5, 9, "none either", (), "A"))
    made = with_words(before, [said("words", 1, None)], Span(0, 4))
    assert [segment.text for segment in made.segments] == ["words", "none either"]


# Over HTTP


@pytest.fixture
def path(client: httpx.Client, tmp_path: Path) -> str:
    with loud(tmp_path / "talk.wav", 4).open("rb") as file:
        made = client.post("/v1/transcribe", files={"file": file}, data={"diarize": "false"}).json()
    return f"/api/v1/transcripts/{made['id']}/"


def loud(path: Path, seconds: int) -> Path:
    """A WAV file with a square wave, in which the toy recogniser hears words."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((b"\x00\x30" * 40 + b"\x00\xd0" * 40) * (seconds * SAMPLE_RATE // 80))
    return path


def done(client: httpx.Client, answer: httpx.Response) -> Any:
    """The result of the job that a request answered with."""
    assert answer.status_code == 202, answer.text
    job = answer.json()["url"]
    until(lambda: client.get(job).json()["status"] not in ("queued", "running"), 15)
    assert client.get(job).json()["status"] == "done", client.get(job).json()
    return client.get(f"{job}/result").json()


def test_speakers_are_found_again(client: httpx.Client, path: str, service: Service) -> None:
    before = client.get(path).json()
    assert before["speakers"] == []
    made = done(client, client.post(f"{path}diarize/", json={"revision": 1}))
    assert (made["revision"], made["speakers"]) == (2, ["Speaker 1", "Speaker 2"])
    assert made == client.get(path).json()
    assert made["text"] == before["text"]
    assert client.post(f"{path}diarize/", json={"revision": 1}).status_code == 409
    again = client.post(f"{path}revisions/1/restore/").json()
    assert again == before | {"revision": 3}
    assert service.library.transcript(1, before["id"]).turns == ()
    done(client, client.post(f"{path}diarize/"))  # all of its parameters may be left out
    assert service.leftovers() == []


def test_a_speaker_that_somebody_chose_stays(client: httpx.Client, path: str) -> None:
    first = done(client, client.post(f"{path}diarize/"))
    assert [one["speaker"] for one in first["segments"]] == ["Speaker 1", "Speaker 2"]
    words = len(first["segments"][1]["words"])
    edit = {"op": "speaker", "segment": 1, "from": 0, "to": words, "speaker": "Ada"}
    assert client.patch(path, json={"revision": first["revision"], "edits": [edit]}).status_code == 200
    done(client, client.post(f"{path}transcribe/", json={"start": 0, "end": 1, "model": "clockwork"}))
    made = done(client, client.post(f"{path}diarize/"))
    last = made["segments"][-1]
    assert (last["speaker"], len(last["words"])) == ("Ada", words)
    edit |= {"segment": len(made["segments"]) - 1}
    whole = [{**edit, "speaker": "Speaker 1"}]
    client.patch(path, json={"revision": made["revision"], "edits": whole})
    made = done(client, client.post(f"{path}diarize/"))  # what was heard last decides what was chosen
    assert [one["speaker"] for one in made["segments"]][-1] == "Speaker 1"


def test_a_part_is_transcribed_again(client: httpx.Client, path: str, service: Service) -> None:
    edits = [{"op": "replace", "segment": 0, "from": at, "to": at + 1, "text": f"edited{at}"} for at in (1, 2)]
    client.patch(path, json={"revision": 1, "edits": edits[:1]})
    assert client.get(path).json()["segments"][0]["words"][1]["corrected"]
    before = client.get(path).json()
    made = done(client, client.post(f"{path}transcribe/", json={"start": 1, "end": 3, "model": "clockwork"}))
    words = [word for segment in made["segments"] for word in segment["words"]]
    assert made["revision"] == 3
    assert words[0] == before["segments"][0]["words"][0]
    assert words[-1] == before["segments"][0]["words"][-1]
    assert "edited1" in [word["word"] for word in words]
    inner = [word for word in words if 1 <= word["start"] < 3 and not word.get("corrected")]
    assert inner
    assert all(word["word"].startswith("w") and word["word"][1:].isdigit() for word in inner)
    flat = [time for word in words for time in (word["start"], word["end"])]
    assert flat == sorted(flat)
    assert client.get(f"{path}revisions/").json()["results"][0]["edits"] == 1
    assert service.leftovers() == []


def test_what_cannot_be_heard_again(client: httpx.Client, path: str, service: Service) -> None:
    for wrong in ({"start": 3, "end": 2}, {"start": 0, "end": 5}, {"start": -1, "end": 2}, {"start": 1, "end": 1}, {}):
        assert client.post(f"{path}transcribe/", json=wrong).status_code == 400, wrong
    assert client.post(f"{path}transcribe/", json={"start": 0, "end": 1, "model": "none"}).status_code == 400
    assert client.post(f"{path}transcribe/", json={"start": 0, "end": 1, "revision": 9}).status_code == 409
    assert client.post("/api/v1/transcripts/99/diarize/").status_code == 404
    service.library.audio(1, int(path.split("/")[-2])).unlink()
    for answer in (
        client.post(f"{path}diarize/"),
        client.post(f"{path}transcribe/", json={"start": 0, "end": 1}),
    ):
        assert answer.status_code == 404
        assert "not kept" in answer.json()["error"]
    assert client.get(path).json()["revision"] == 1


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """Have something happen while a part is heard."""
    real = again.recognize

    def heard(*args: Any) -> Any:
        change()
        return real(*args)

    monkeypatch.setattr(again, "recognize", heard)


def test_an_edit_meanwhile_is_not_overwritten(
    client: httpx.Client, path: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = {"revision": 1, "edits": [{"op": "split", "segment": 0, "word": 1}]}
    meanwhile(monkeypatch, lambda: client.patch(path, json=split))
    part = {"start": 0, "end": 2, "model": "clockwork"}
    answer = client.post(f"{path}transcribe/", json=part | {"revision": 1})
    job = answer.json()["url"]
    until(lambda: client.get(job).json()["status"] == "failed", 15)
    assert client.get(job).json()["error"]["revision"] == 2
    refused = client.get(f"{job}/result")
    assert (refused.status_code, refused.json()["revision"]) == (409, 2)
    after = client.get(path).json()
    assert (after["revision"], len(after["segments"])) == (2, 2)
    assert service.leftovers() == []


def test_without_a_revision_what_was_corrected_meanwhile_stays(
    client: httpx.Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix = {"revision": 1, "edits": [{"op": "replace", "segment": 0, "from": 0, "to": 1, "text": "zebrafish"}]}
    meanwhile(monkeypatch, lambda: client.patch(path, json=fix))
    made = done(client, client.post(f"{path}transcribe/", json={"start": 0, "end": 4, "model": "clockwork"}))
    assert made["revision"] == 3
    assert made["segments"][0]["words"][0]["word"] == "zebrafish"


def test_only_what_succeeds_is_charged(client: httpx.Client, service: Service, tmp_path: Path) -> None:
    """By the minute, as for a transcription: a part of seconds is one."""
    service.accounts.set_tier(Tier(name="paid", takes_credits=True))
    account = service.accounts.create("Ada", tier="paid").id
    service.accounts.grant(account, 10)
    client.headers["Authorization"] = (
        f"Bearer {service.accounts.create_key(account, 'a key', ['speech', 'library'])[1]}"
    )
    with loud(tmp_path / "talk.wav", 4).open("rb") as file:
        number = client.post("/v1/transcribe", files={"file": file}, data={"diarize": "false"}).json()["id"]
    mine = f"/api/v1/transcripts/{number}/"
    assert service.accounts.balance(account) == 9
    assert client.post(f"{mine}transcribe/", json={"start": 0, "end": 2, "revision": 9}).status_code == 409
    assert service.accounts.balance(account) == 9
    done(client, client.post(f"{mine}transcribe/", json={"start": 0, "end": 2, "model": "clockwork"}))
    done(client, client.post(f"{mine}diarize/"))
    assert service.accounts.balance(account) == 7
