"""Gradio's API as gradio_client sees it, the page's functions, and the HTML of a transcript."""

from __future__ import annotations

import html as stdlib_html
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from outline import NASTY, TAGS, Outline
from toy_server import KEY, Served, Toy, serve, settings_for, until, wav

from stt_lab.registry import OPERATIONS
from stt_lab.types import Event, JobInfo, Provenance, Segment, Suppressed, Transcript, Turn, Unrecognized, Word
from stt_lab.ui import html


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("ui"), queue_size=2)) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    client = Client(served.url, verbose=False)
    yield client
    client.close()


@pytest.fixture
def sound(tmp_path: Path) -> Any:
    return handle_file(str(wav(tmp_path / "a.wav")))


@pytest.fixture
def slow() -> Iterator[None]:
    Toy.seconds, Toy.stopped = 30.0, 0
    yield
    Toy.seconds = 0.0


# The API


def test_the_api_has_what_the_operations_declare(client: Client) -> None:
    endpoints: dict[str, Any] = client.view_api(return_format="dict")["named_endpoints"]  # type: ignore[index]
    assert {name.strip("/") for name in endpoints} == set(OPERATIONS)
    for op in OPERATIONS.values():
        shown = {p["parameter_name"]: p for p in endpoints[f"/{op.name}"]["parameters"]}
        assert list(shown) == list(op.fields)
        for name, parameter in op.signature.parameters.items():
            required = parameter.default is inspect.Parameter.empty
            assert shown[name]["parameter_has_default"] is not required
            assert required or shown[name]["parameter_default"] == parameter.default
    formats = {one["parameter_name"]: one["type"] for one in endpoints["/transcribe"]["parameters"]}
    assert formats["response_format"] == {"enum": ["json", "txt", "text", "srt", "vtt", "verbose_json"]}
    assert endpoints["/transcribe"]["parameters"][0]["python_type"]["type"] == "filepath"


def test_a_transcript_is_that_of_http(client: Client, served: Served, sound: Any, tmp_path: Path) -> None:
    mine = client.predict(file=sound, model="base", api_name="/transcribe")
    with (tmp_path / "a.wav").open("rb") as file:
        theirs = httpx.post(f"{served.url}/v1/transcribe", files={"file": file}, data={"model": "base"}).json()
    assert mine == theirs
    assert mine["speakers"] == ["Speaker 1", "Speaker 2"]
    assert served.uploads == []


@pytest.mark.parametrize("form", ["txt", "srt", "vtt"])
def test_a_rendering_is_its_text(client: Client, sound: Any, form: str) -> None:
    text = client.predict(file=sound, model="base", response_format=form, api_name="/transcribe")
    assert isinstance(text, str)
    assert "Good morning." in text


def test_verbose_json_is_an_object(client: Client, sound: Any) -> None:
    made = client.predict(file=sound, model="base", response_format="verbose_json", api_name="/transcribe")
    assert made["suppressed"][0]["text"] == "<i>Thank you.</i>"
    assert len(made["provenance"]) == 2


@pytest.mark.parametrize("name", ["models", "languages", "health"])
def test_what_is_here_is_told_as_on_http(client: Client, served: Served, name: str) -> None:
    assert client.predict(api_name=f"/{name}") == httpx.get(served.url + OPERATIONS[name].path).json()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model": "nope"}, "Model 'nope'"),
        ({"language": "klingon"}, "klingon"),
        ({"speakers": 99}, "speakers"),
        ({"response_format": "xml"}, "response_format"),
    ],
)
def test_an_error_is_a_sentence(client: Client, served: Served, sound: Any, values: dict[str, Any], said: str) -> None:
    with pytest.raises(AppError) as problem:
        client.predict(**({"file": sound, "model": "base"} | values), api_name="/transcribe")
    assert said in str(problem.value)
    assert str(served.settings.data_dir) not in str(problem.value)
    assert served.uploads == []


def test_a_wrong_key_is_refused_and_a_right_one_is_not(served: Served) -> None:
    wrong = Client(served.url, verbose=False, headers={"Authorization": "Bearer wrong"})
    with pytest.raises(AppError, match="not valid"):
        wrong.predict(api_name="/models")
    right = Client(served.url, verbose=False, headers={"Authorization": f"Bearer {KEY}"})
    assert right.predict(api_name="/models")["models"]
    for client in (wrong, right):
        client.close()


def test_what_is_no_sound_is_a_sentence(client: Client, served: Served, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"this is text" * 100)
    with pytest.raises(AppError) as problem:
        client.predict(file=handle_file(str(tmp_path / "a.mp3")), model="base", api_name="/transcribe")
    assert "Traceback" not in str(problem.value)
    assert served.uploads == []


def test_progress_names_the_stage(client: Client, sound: Any, slow: None) -> None:
    job = client.submit(file=sound, model="base", api_name="/transcribe")
    until(lambda: [unit.desc for unit in job.status().progress_data or []] == ["transcribing"])
    job.cancel()
    until(lambda: Toy.stopped)


def test_cancel_stops_the_work(client: Client, served: Served, sound: Any, slow: None) -> None:
    job = client.submit(file=sound, model="base", api_name="/transcribe")
    until(lambda: job.status().progress_data)
    job.cancel()
    assert until(lambda: Toy.stopped) < 2
    until(lambda: served.uploads == [])


def test_a_client_that_goes_away_stops_the_work(served: Served, tmp_path: Path, slow: None) -> None:
    """A process that is killed says no good-bye."""
    wav(tmp_path / "a.wav")
    code = f"""
from gradio_client import Client, handle_file
client = Client({served.url!r}, verbose=False)
client.predict(file=handle_file({str(tmp_path / "a.wav")!r}), model="base", api_name="/transcribe")
"""
    before = Toy.began
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        until(lambda: Toy.began > before, 30)
        process.kill()
    assert until(lambda: Toy.stopped) < 2
    until(lambda: served.uploads == [])


def test_the_pool_limits_and_not_gradio(served: Served, sound: Any, slow: None) -> None:
    """One works, queue_size wait, and the next is refused at once."""
    clients = [Client(served.url, verbose=False) for _ in range(4)]
    *first, last = clients
    jobs = [client.submit(file=sound, model="base", api_name="/transcribe") for client in first]

    def stages() -> list[str]:
        return sorted(str(unit.desc) for job in jobs for unit in job.status().progress_data or [])

    until(lambda: stages() == ["queued", "queued", "transcribing"], 15)
    with pytest.raises(AppError, match="Too many recordings"):
        last.predict(file=sound, model="base", api_name="/transcribe")
    for job in jobs:
        job.cancel()
    until(lambda: served.uploads == [])
    for client in clients:
        client.close()


def test_the_library_and_jobs_of_an_account(served: Served, sound: Any) -> None:
    """A file comes as a file, a job as its state; `background` does not wait."""
    _, raw = served.accounts.create_key(served.accounts.create("Gradio").id, "a", ["speech", "library"])
    client = Client(served.url, verbose=False, headers={"Authorization": f"Bearer {raw}"})
    job = client.predict(file=sound, model="base", background=True, api_name="/transcribe")
    assert set(job) >= {"id", "status", "url"}
    until(lambda: client.predict(job["id"], api_name="/job")["status"] == "done")
    (listed,) = client.predict(api_name="/transcripts")["results"]
    assert listed["title"] == "a.wav"
    client.predict(listed["id"], {"Speaker 1": "Ada"}, api_name="/update_transcript")
    for form, begins in (("srt", b"1\n00:00:00"), ("pdf", b"%PDF"), ("docx", b"PK")):
        path = client.predict(listed["id"], form, api_name="/export_transcript")
        assert Path(path).name == f"a.{form}"
        assert Path(path).read_bytes().startswith(begins)
    path = client.predict(listed["id"], api_name="/transcript_audio")
    assert (Path(path).name, Path(path).read_bytes()[:4]) == ("a.wav", b"RIFF")
    assert client.predict(job["id"], api_name="/job_result")["speakers"] == ["Ada", "Speaker 2"]
    client.close()


def test_importing_the_surface_does_not_import_gradio() -> None:
    code = "import sys, stt_lab.ui; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# HTML


def transcript(**changes: Any) -> Transcript:
    words = (Word(0.0, 1.0, f" {NASTY}", 0.9), Word(1.0, 2.0, " there.", 0.2))
    first = Segment(0.0, 2.0, "".join(word.text for word in words).strip(), words, NASTY)
    made: dict[str, Any] = {
        "language": "en",
        "duration": 10.0,
        "segments": (first, Segment(3.0, 4.0, NASTY, (), "Speaker 2")),
        "speakers": (NASTY, "Speaker 2"),
        "model": NASTY,
        "warnings": (NASTY,),
        "suppressed": (Suppressed(5.0, 6.0, NASTY, NASTY),),
        "unrecognized": (Unrecognized(6.0, 7.0, NASTY),),
        "turns": (Turn(0.0, 2.0, NASTY), Turn(3.0, 4.0, "Speaker 2")),
        "provenance": (Provenance("toy", "base", "cpu", "1", elapsed=2.0),),
    }
    return Transcript(**(made | changes))


@pytest.mark.parametrize(
    "made",
    [
        html.result(transcript(), html.Recording(f"{NASTY}.wav", "gradio_api/file=x"), html.Times(0.2, 0.0, 3.0)),
        html.result(
            transcript(segments=(), speakers=(), turns=()),
            html.Recording(NASTY, NASTY, True),
            html.Times(0.2, 0.0, 3.0),
        ),
        html.notice(NASTY, "error"),
        html.bar(NASTY, 1, 2),
    ],
)
def test_nothing_hostile_becomes_markup(made: str) -> None:
    outline = Outline(made)
    assert set(outline.tags) <= TAGS
    assert outline.open == []
    assert not any(name.startswith("on") for name in outline.attributes)


def test_the_words_survive_the_escaping() -> None:
    shown = "".join(Outline(html.result(transcript(), html.Recording("a.wav", "x"), html.Times(0.2, 0.0, 1.0))).texts)
    assert shown.count(NASTY) >= 6


def test_downloads_carry_the_renderings() -> None:
    from stt_lab.transcription.render import render

    made = html.result(transcript(), html.Recording("My talk.mp3", "x"), html.Times(0.2, 0.0, 1.0))
    for form in ("txt", "srt", "vtt", "json"):
        held = re.search(rf'data-save="My talk\.{form}"[^>]*>{form.upper()}<span hidden>(.*?)</span>', made, re.DOTALL)
        assert held
        assert stdlib_html.unescape(held[1]) == render(transcript(), form).text


def test_a_click_has_a_time_to_go_to() -> None:
    made = html.result(transcript(), html.Recording("a.wav", "x"), html.Times(0.2, 0.0, 1.0))
    assert re.findall(r'<button[^>]*data-seek="([\d.]+)"', made) == ["0.000", "3.000", "6.000", "5.000"]
    assert re.findall(r'<span data-seek="([\d.]+)"', made) == ["0.000", "1.000"]
    assert 'data-duration="10.000"' in made


def test_the_timeline_has_a_lane_per_speaker_and_a_bar_per_turn() -> None:
    made = html.timeline(transcript())
    assert made.count("<svg") == 2
    assert re.findall(r'<rect x="([\d.]+)" y="0" width="([\d.]+)"', made) == [("0.00", "2.00"), ("3.00", "1.00")]
    assert "20%" in made
    alone = html.timeline(transcript(speakers=(), turns=(), segments=(Segment(0, 1, "a"), Segment(2, 3, "b"))))
    assert alone.count("<svg") == 1
    assert alone.count("<rect") == 2


def test_facts_tell_duration_time_and_factor() -> None:
    shown = Outline(
        html.result(transcript(model="base"), html.Recording("a.wav", "x"), html.Times(0.2, 0.0, 3.0))
    ).texts
    assert {"0:10 of audio", "took 3.0 s", "RTF 0.20", "model base", "English", "2 speakers"} <= set(shown)


def test_waiting_and_loading_are_told_apart_from_work() -> None:
    shown = Outline(html.result(transcript(), html.Recording("a.wav", "x"), html.Times(12.0, 3.25, 2.0))).texts
    assert {"waited 12.0 s", "models loaded in 3.2 s", "took 2.0 s"} <= set(shown)


def test_silence_is_said_in_words() -> None:
    nothing = transcript(segments=(), speakers=(), turns=(), unrecognized=(), language=None)
    made = html.result(nothing, html.Recording("a.wav", "x"), html.Times(0.2, 0.0, 1.0))
    assert "contains no speech" in made
    assert "data-save" not in made
    assert "removed as unlikely" in made  # what was suppressed is told all the same


def test_speech_that_was_not_understood_stands_among_the_words() -> None:
    unrecognized = (Unrecognized(2.2, 2.9, "Speaker 2"), Unrecognized(5.0, 6.5))
    shown = html.segments(transcript(unrecognized=unrecognized))
    first, second = "Speaker 2: speech that was not understood, 0.7 s", "speech that was not understood, 1.5 s"
    assert shown.index("there.") < shown.index(first) < shown.index('data-seek="3.000"') < shown.rindex(second)
    nothing = transcript(segments=(), speakers=(), turns=(), unrecognized=unrecognized[1:])
    made = html.result(nothing, html.Recording("a.wav", "x"), html.Times(0.2, 0.0, 1.0))
    assert "no word was understood" in made
    assert "contains no speech" not in made


def test_an_empty_recording_has_no_timeline() -> None:
    empty = Transcript(None, 0.0)
    assert html.timeline(empty) == ""
    assert "RTF" not in html.result(empty, html.Recording("a.wav", "x"), html.Times(0.2, 0.0, 1.0))


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3723, "1:02:03")])
def test_clock(seconds: float, shown: str) -> None:
    assert html.clock(seconds) == shown


@pytest.mark.parametrize("duration", [0.3, 1, 7, 60, 3599, 8 * 3600, 40 * 3600])
def test_the_axis_has_few_ticks(duration: float) -> None:
    made = html.timeline(Transcript("en", duration, (Segment(0, duration, "a"),)))
    assert 1 <= made.count("left:") <= 21


def under_way(stage: str, percent: float, **more: Any) -> JobInfo:
    created = datetime.now(UTC) - timedelta(seconds=61)
    times = {"created": created, "started": created, "finished": None}
    values = {"id": "job_a", "status": "running", "eta_s": None, "transcript_id": None, "error": None, "url": ""}
    return JobInfo(**(values | times | more), stage=stage, percent=percent)  # type: ignore[arg-type]


def test_stages_before_the_running_one_are_done() -> None:
    shares = {"decoding": 10.0, "transcribing": 60.0, "diarizing": 20.0, "joining": 10.0}
    made = html.stages(under_way("transcribing", 40, eta_s=70.0, text=NASTY), shares)
    kinds = re.findall(r'class="stt-step (\w+)"', made)
    assert kinds == ["done", "done", "done", "active", "waiting", "waiting"]
    assert re.findall(r"--filled:([\d.]+)", made)[3] == "0.500"
    assert Outline(made).texts[-3:] == [", about 1:10 left", "1:01", NASTY]
    loading = html.stages(under_way("loading", 70), shares)  # that of the diarizer, after the words
    assert re.findall(r'class="stt-step (\w+)"', loading)[:4] == ["done", "done", "active", "done"]
    assert "Speakers" not in html.stages(under_way("queued", 0), {"transcribing": 1.0})
    assert "place 3" in html.stages(under_way("queued", 0, status="queued", place=3), shares)
    assert set(html.STAGE_NAMES) == set(Event.STAGES)
