"""Clients that others wrote, against a server with real weights: sttai, openai, Node.js and curl, as they come.

One server and one key of a free account for all of them.
"""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import sttai
from conftest import Choose
from fakes import KEY
from needs import missing, needs
from serving import Server, serving

from stt_lab.metrics import wer

pytestmark = pytest.mark.truth
CLIENTS = Path(__file__).parent / "clients"


@dataclass(frozen=True)
class Clip:
    """A recording with what is said in it."""

    path: Path
    text: str
    duration: float

    def said(self, text: str) -> None:
        """Fails where a text is not what is said."""
        assert wer([self.text], [text], "whisper_en").rate <= 0.25, text


@pytest.fixture(scope="module")
def clip(made_data: Choose) -> Clip:
    (one,) = made_data(id="prompts__en_vm-msgforwarded")
    return Clip(one.path, one.text or "", one.duration)


@pytest.fixture(scope="module")
def spanish(made_data: Choose) -> Path:
    (one,) = made_data(id="prompts__es_conf-otherinparty")
    return one.path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Server]:
    places = {"STT_LAB_MODELS_DIR": str(models_dir), "STT_LAB_ADMIN_KEY": KEY}
    with serving(tmp_path_factory.mktemp("clients"), fakes=False, **places) as running:
        yield running


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    """Of a free account, made as an administrator makes it."""
    headers = {"Authorization": f"Bearer {KEY}"}
    account = server.client.post("/api/v1/accounts/", headers=headers, json={"name": "Ada"}).json()
    made = server.client.post(f"/api/v1/accounts/{account['id']}/keys/", headers=headers, json={"name": "tests"}).json()
    assert made["key"].startswith("stt_")
    return str(made["key"])


def check_transcript(made: dict[str, Any], clip: Clip) -> None:
    """What the contract says of an answer."""
    clip.said(made["text"])
    assert made["language"] == "en"
    assert made["duration"] == pytest.approx(clip.duration, abs=0.01)
    assert made["text"] == " ".join(segment["text"] for segment in made["segments"])
    assert made["speakers"] == ["Speaker 1"]
    assert {segment["speaker"] for segment in made["segments"]} == {"Speaker 1"}
    assert made["model"] == "base"
    assert "large-v3-turbo" in made["warnings"][0]


def check_subtitles(text: str, clip: Clip, first: str, point: str) -> None:
    lines = text.splitlines()
    assert lines[0] == first
    assert f"{point}" in next(line for line in lines if " --> " in line)
    clip.said(" ".join(line for line in lines[1:] if line and " --> " not in line and not line.isdigit()))


# sttai, the SDK of the hosted API


@pytest.fixture
def sdk(server: Server, key: str) -> Iterator[sttai.STTClient]:
    client = sttai.STTClient(key, base_url=server.url, timeout=120)
    yield client
    client._session.close()


def test_sttai_transcribes(sdk: sttai.STTClient, clip: Clip, server: Server, key: str) -> None:
    made = sdk.transcribe(str(clip.path))
    check_transcript(made, clip)
    kept = server.client.get(f"/api/v1/transcripts/{made['id']}/", headers={"Authorization": f"Bearer {key}"}).json()
    assert (kept["text"], kept["title"]) == (made["text"], clip.path.name)


def test_sttai_has_every_format(sdk: sttai.STTClient, clip: Clip) -> None:
    told = {
        name: sdk.transcribe(str(clip.path), response_format=name, model="tiny.en", diarize=False)
        for name in ("text", "srt", "vtt", "verbose_json")
    }
    clip.said(told["text"]["text"])
    check_subtitles(told["srt"]["text"], clip, "1", ",")
    check_subtitles(told["vtt"]["text"], clip, "WEBVTT", ".")
    clip.said(told["verbose_json"]["text"])
    assert told["verbose_json"]["provenance"][0]["model"] == "tiny.en"


def test_sttai_transcribes_an_address(sdk: sttai.STTClient, clip: Clip) -> None:
    """The SDK fetches the address itself: this server fetches none."""
    handler = functools.partial(Quiet, directory=str(clip.path.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever).start()
        try:
            address = f"http://127.0.0.1:{files.server_port}/{clip.path.name}"
            clip.said(sdk.transcribe_url(address, model="tiny.en", diarize=False)["text"])
        finally:
            files.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_sttai_asks_what_there_is(sdk: sttai.STTClient) -> None:
    assert {"large-v3-turbo", "base"} <= {model["id"] for model in sdk.models()["models"]}
    assert {"code": "bo", "name": "tibetan"} in sdk.languages()["languages"]
    assert sdk.health()["status"] == "ok"


def test_sttai_shows_our_sentences(sdk: sttai.STTClient, server: Server, clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(sttai.STTError, match="Model 'shouting'") as caught:
        sdk.transcribe(str(clip.path), model="shouting")
    assert caught.value.status_code == 400
    (tmp_path / "letter.txt").write_text("Dear all, this is no sound.")
    with pytest.raises(sttai.STTError, match=r"STTError\(400\)"):
        sdk.transcribe(str(tmp_path / "letter.txt"))
    stranger = sttai.STTClient("stt_wrong", base_url=server.url)
    with stranger._session, pytest.raises(sttai.AuthError, match="key"):
        stranger.transcribe(str(clip.path))


# openai


@pytest.fixture
def audio(server: Server, key: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, timeout=120, max_retries=0) as client:
        yield client.audio


def test_openai_transcribes(audio: Any, clip: Clip) -> None:
    made = audio.transcriptions.create(model="whisper-1", file=clip.path, language="en", prompt="Voice mail.")
    clip.said(made.text)
    assert made.usage.seconds == 4
    substituted, ignored = made.warnings
    assert "'base' was used instead" in substituted
    assert "prompt" in ignored


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe", "base"])
def test_openai_models(model: str, audio: Any, clip: Clip) -> None:
    clip.said(audio.transcriptions.create(model=model, file=clip.path).text)


def test_openai_text_formats(audio: Any, clip: Clip) -> None:
    text, srt, vtt = (
        audio.transcriptions.create(model="tiny.en", file=clip.path, response_format=name)
        for name in ("text", "srt", "vtt")
    )
    clip.said(text)
    check_subtitles(srt, clip, "1", ",")
    check_subtitles(vtt, clip, "WEBVTT", ".")


def test_openai_tells_times(audio: Any, clip: Clip) -> None:
    wanted = {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"]}
    with clip.path.open("rb") as file:
        made = audio.transcriptions.create(model="whisper-1", file=file, **wanted)
    clip.said(made.text)
    assert (made.task, made.language) == ("transcribe", "english")
    assert made.duration == pytest.approx(clip.duration, abs=0.01)
    assert "".join(segment.text for segment in made.segments).strip() == made.text
    clip.said(" ".join(word.word for word in made.words))
    times = [time for word in made.words for time in (word.start, word.end)]
    assert times == sorted(times)
    segment = made.segments[0]
    assert segment.seek == round(100 * segment.start)
    assert -1 < segment.avg_logprob < 0
    assert 0.5 < segment.compression_ratio < 2.4
    assert (segment.temperature, segment.no_speech_prob, segment.tokens) == (None, None, [])


def test_openai_tells_speakers(audio: Any, clip: Clip) -> None:
    made = audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize", file=clip.path, response_format="diarized_json", chunking_strategy="auto"
    )
    clip.said(made.text)
    assert [segment.type for segment in made.segments] == ["transcript.text.segment"] * len(made.segments)
    assert {segment.speaker for segment in made.segments} == {"Speaker 1"}
    assert 0 <= made.segments[0].start < made.segments[-1].end <= made.duration


@pytest.mark.parametrize("form", ["json", "diarized_json"])
def test_openai_streams(form: str, audio: Any, clip: Clip) -> None:
    model = "gpt-4o-transcribe-diarize" if form == "diarized_json" else "gpt-4o-transcribe"
    events = list(audio.transcriptions.create(model=model, file=clip.path, stream=True, response_format=form))
    assert events[-1].type == "transcript.text.done"
    clip.said(events[-1].text)
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == events[-1].text
    spoken = [event.speaker for event in events if event.type == "transcript.text.segment"]
    assert spoken == ["Speaker 1"] * len(spoken)
    assert bool(spoken) == (form == "diarized_json")


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # at OpenAI; here it stays
def test_openai_translates(audio: Any, spanish: Path) -> None:
    made = audio.translations.create(model="whisper-1", file=spanish, response_format="verbose_json")
    assert made.text.lower().startswith("other participants in the conference")
    assert (made.task, made.language) == ("translate", "english")
    with pytest.raises(openai.BadRequestError, match=r"'tiny\.en' cannot translate"):
        audio.translations.create(model="tiny.en", file=spanish)


def test_openai_shows_our_sentences(audio: Any, server: Server, clip: Clip) -> None:
    create = audio.transcriptions.create
    with pytest.raises(openai.BadRequestError, match=r"Error code: 400 - Model 'shouting'") as caught:
        create(model="shouting", file=clip.path)
    assert (caught.value.code, caught.value.type) == ("bad_parameter", "invalid_request_error")
    with pytest.raises(openai.BadRequestError, match="verbose_json"):
        create(model="whisper-1", file=clip.path, timestamp_granularities=["word"])
    with pytest.raises(openai.BadRequestError, match="Unknown parameter 'volume'"):
        create(model="whisper-1", file=clip.path, extra_body={"volume": "11"})
    with pytest.raises(openai.BadRequestError, match=r"400 - "):
        create(model="whisper-1", file=("letter.txt", b"Dear all, this is no sound."))
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="stt_wrong") as stranger,
        pytest.raises(openai.AuthenticationError, match="key"),
    ):
        stranger.audio.transcriptions.create(model="whisper-1", file=clip.path)


def test_openai_embeds(server: Server, key: str) -> None:
    """The real vectors: of 384 numbers, those of our own operation, with the tokens that were read."""
    texts = ["The roof leaks.", "Water comes through the ceiling.", "He plays chess."]
    mine = {"Authorization": f"Bearer {key}"}
    plain = server.client.post("/v1/embed", headers=mine, json={"texts": texts}).json()
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, timeout=120) as client:
        made = client.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=384)
    roof, water, chess = (one.embedding for one in made.data)
    assert (len(roof), roof) == (384, pytest.approx(plain["embeddings"][0], abs=1e-6))
    assert sum(map(float.__mul__, roof, water)) > sum(map(float.__mul__, roof, chess))
    assert made.usage.total_tokens == 6 + 8 + 6  # each with two marks of its ends, and full stops
    assert made.model == "all-MiniLM-L6-v2"


def test_openai_logprobs_are_of_words(audio: Any, clip: Clip) -> None:
    made = audio.transcriptions.create(model="Systran/faster-whisper-tiny.en", file=clip.path, include=["logprobs"])
    clip.said(made.text)
    assert "".join(one.token for one in made.logprobs) == made.text
    assert all(-10 < one.logprob <= 0 for one in made.logprobs)


def test_openai_routes_keep_our_one_shape_for_all_others(server: Server) -> None:
    answer = server.client.post("/v1/audio/transcriptions", files={"file": b""}, data={"response_format": "xml"})
    assert answer.status_code == 400
    assert "'response_format'" in answer.json()["error"]


# Node.js


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs and the packages that they use."""
    needs("node", "npm")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(CLIENTS, folder, dirs_exist_ok=True)
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline"]
    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        missing("npm fetched nothing within two minutes")
    if done.returncode:
        missing(f"npm cannot install form-data and node-fetch here: {done.stderr.strip()[-200:]}")
    return folder


def run_node(folder: Path, program: str, *arguments: str) -> Any:
    command = ["node", "--no-deprecation", program, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["node-fetch", "node-fetch-3"])
def test_node_as_documented(library: str, node: Path, server: Server, key: str, clip: Clip) -> None:
    check_transcript(run_node(node, "documented.mjs", server.url, key, str(clip.path), library), clip)


@pytest.mark.slow
def test_node_as_it_comes(node: Path, server: Server, key: str, clip: Clip) -> None:
    made = run_node(node, "builtin.mjs", server.url, key, str(clip.path))
    check_transcript(made, clip)
    assert made["provenance"]


@pytest.mark.slow
def test_node_with_the_wrong_form_is_told_so(node: Path, server: Server, key: str, clip: Clip) -> None:
    answer = run_node(node, "mistaken.mjs", server.url, key, str(clip.path))
    assert answer["status"] == 400
    assert "[object FormData]" in answer["error"]
    assert "Node.js" in answer["error"]


# curl, and requests without a library


def curl(*arguments: str) -> str:
    needs("curl")
    done = subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(server: Server, key: str, clip: Clip) -> None:
    form = ["-H", f"Authorization: Bearer {key}", "-F", f"file=@{clip.path}", f"{server.url}/v1/transcribe"]
    check_transcript(json.loads(curl(*form)), clip)
    srt = curl("-F", "response_format=srt", "-F", "model=tiny.en", "-F", "diarize=false", *form)
    check_subtitles(srt, clip, "1", ",")
    refused = curl("-F", "speakers=many", "-w", "\n%{http_code}", *form)
    assert "'speakers'" in json.loads(refused.splitlines()[0])["error"]
    assert refused.endswith("\n400")


def test_anybody_may_try(server: Server, clip: Clip) -> None:
    """Without a key, as the page's own examples show it."""
    with clip.path.open("rb") as file:
        answer = httpx.post(f"{server.url}/v1/transcribe", files={"file": file}, data={"model": "tiny.en"}, timeout=60)
    clip.said(answer.json()["text"])
    assert "id" not in answer.json()
