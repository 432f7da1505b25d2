"""What clients write in their own ways: lists, file names, languages, models, empty fields, and OpenAI's package."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai as package
import pytest
from toy_server import KEY, MINE, Served, serve, settings_for, wav

from stt_lab.door.file_names import file_name
from stt_lab.errors import BadInput
from stt_lab.registry import OPERATIONS, Operation
from stt_lab.web import openai

WORDS = ["Good", "morning", "Hello", "there", "friend"]  # that the toy hears
FORMS = [op for op in (*OPERATIONS.values(), *openai.ROUTES) if "file" in op.file_params]  # not tts
Fields = list[tuple[str, str]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("doors"))) as running:
        yield running


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("strict"), strict_models=True)) as running:
        yield running


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wav(tmp_path_factory.mktemp("talk") / "talk.wav")


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers=MINE, timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def theirs(served: Served) -> Iterator[package.OpenAI]:
    with package.OpenAI(base_url=f"{served.url}/v1", api_key=KEY, timeout=60, max_retries=0) as made:
        yield made


def send(client: httpx.Client, path: str, talk: Path, fields: Fields) -> httpx.Response:
    """Post a form as it is given: names may repeat."""
    parts = [(name, (None, value)) for name, value in fields]
    return client.post(path, files=[("file", ("talk.wav", talk.read_bytes())), *parts])  # type: ignore[arg-type]


# Lists


@pytest.mark.parametrize(
    "fields",
    [
        [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities[0]", "word"), ("timestamp_granularities[1]", "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        [("timestamp_granularities", "word,segment")],
        [("timestamp_granularities[]", "segment, word")],
    ],
    ids=["brackets", "numbers", "repeated", "commas", "both"],
)
def test_every_way_of_a_list(fields: Fields, client: httpx.Client, talk: Path) -> None:
    answer = send(client, "/v1/audio/transcriptions", talk, [("response_format", "verbose_json"), *fields])
    assert answer.status_code == 200, answer.text
    assert [word["word"] for word in answer.json()["words"]] == WORDS
    assert len(answer.json()["segments"]) == 2


def test_a_list_with_a_wrong_item(client: httpx.Client, talk: Path) -> None:
    fields = [("response_format", "verbose_json"), ("timestamp_granularities", "word,sentence")]
    answer = send(client, "/v1/audio/transcriptions", talk, fields)
    assert answer.status_code == 400
    assert "'sentence'" in answer.json()["error"]
    assert "'word' or 'segment'" in answer.json()["error"]


def test_a_field_that_is_no_list_is_sent_once(client: httpx.Client, talk: Path) -> None:
    answer = send(client, "/v1/audio/transcriptions", talk, [("model", "base"), ("model", "tiny.en")])
    assert (answer.status_code, "'model' was sent twice" in answer.json()["error"]) == (400, True)


# Names of files


def from_dotnet(name: str, sound: bytes) -> tuple[bytes, str]:
    """A body as .NET's MultipartFormDataContent writes it, and its content type."""
    word = base64.b64encode(name.encode()).decode()
    percent = "".join(chr(b) if (chr(b).isalnum() and b < 128) or b == ord(".") else f"%{b:02X}" for b in name.encode())
    parts = [
        b"Content-Type: audio/wav\r\nContent-Disposition: form-data; name=file; "
        + f"filename=\"=?utf-8?B?{word}?=\"; filename*=utf-8''{percent}\r\n\r\n".encode()
        + sound,
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=diarize\r\n\r\nfalse",
    ]
    edge = "5a1e1c5e-3d1c-4b5b-9c7c-0d9b8e7f6a5b"
    body = b"".join(b"--" + edge.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return body + b"--" + edge.encode() + b"--\r\n", f'multipart/form-data; boundary="{edge}"'


@pytest.mark.parametrize("name", ["Besprechung für März.wav", "会議 1.wav"])
def test_a_title_from_dotnet(name: str, client: httpx.Client, talk: Path) -> None:
    body, kind = from_dotnet(name, talk.read_bytes())
    made = client.post("/v1/transcribe", content=body, headers={"Content-Type": kind})
    assert made.status_code == 200, made.text
    assert client.get(f"/api/v1/transcripts/{made.json()['id']}/").json()["title"] == name


@pytest.mark.parametrize(
    ("disposition", "plain", "name"),
    [
        ("filename*=UTF-8''r%C3%A9union.mp3", "", "réunion.mp3"),
        ("filename=\"a.mp3\"; filename*=utf-8'fr'r%C3%A9union.mp3", "a.mp3", "réunion.mp3"),
        ("filename*=iso-8859-1''r%E9union.mp3", "", "réunion.mp3"),
        ("filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "", "passwd"),
        ("filename*=UTF-8''%FF.mp3; filename=a.mp3", "a.mp3", "a.mp3"),
        ("filename*=klingon''a.mp3; filename=b.mp3", "b.mp3", "b.mp3"),
        ('filename="=?utf-8?B?csOpdW5pb24ubXAz?="', "=?utf-8?B?csOpdW5pb24ubXAz?=", "réunion.mp3"),
        ('filename="=?utf-8?Q?r=C3=A9union.mp3?="', "=?utf-8?Q?r=C3=A9union.mp3?=", "réunion.mp3"),
        ('filename="=?nothing?B?csOp?="', "=?nothing?B?csOp?=", "=?nothing?B?csOp?="),
        ('filename="r%C3%A9union.mp3"', "r%C3%A9union.mp3", "réunion.mp3"),
        ('filename="100% sure.mp3"', "100% sure.mp3", "100% sure.mp3"),
        ('filename="20%E9.mp3"', "20%E9.mp3", "20%E9.mp3"),
        ("filename=\"x; filename*=utf-8''y\"", "x; filename*=utf-8''y", "x; filename*=utf-8''y"),
        ("filename*=UTF-8''a%0Ab%00.mp3", "", "ab.mp3"),
        ("", "", ""),
    ],
)
def test_names_of_files(disposition: str, plain: str, name: str) -> None:
    assert file_name(f'form-data; name="file"; {disposition}'.encode(), plain.encode()) == name


def test_a_name_in_another_charset_is_refused() -> None:
    with pytest.raises(BadInput, match="Encode it as UTF-8"):
        file_name(b'form-data; name="file"; filename="r\xe9union.mp3"', b"r\xe9union.mp3")


# Languages


@pytest.mark.parametrize("language", ["deu", "ger", "deutsch", "Español", "中文"])
@pytest.mark.parametrize("path", ["/v1/transcribe", "/v1/audio/transcriptions"])
def test_languages_of_speech(path: str, language: str, client: httpx.Client, talk: Path) -> None:
    assert send(client, path, talk, [("language", language), ("model", "base")]).status_code == 200


@pytest.mark.parametrize("language", ["por", "português", "pt"])
def test_languages_of_texts_and_of_the_library(language: str, client: httpx.Client) -> None:
    made = client.post("/v1/translate", json={"text": "Good morning.", "target": language})
    assert (made.status_code, made.json()["target_language"]) == (200, "pt")
    assert client.get("/api/v1/transcripts/", params={"language": language}).status_code == 200


def test_an_unknown_language(client: httpx.Client, talk: Path) -> None:
    answer = send(client, "/v1/transcribe", talk, [("language", "duetsch")])
    assert (answer.status_code, "Did you mean deutsch?" in answer.json()["error"]) == (400, True)


# Errors that list models


@pytest.mark.parametrize(
    ("path", "fields", "listed", "unlisted"),
    [
        ("/v1/transcribe", [("model", "gpt")], "large-v3-turbo, large-v3,", "MiniLM"),
        ("/v1/transcribe", [("model", "community-1")], "cannot transcribe. Choose from large-v3-turbo", "MiniLM"),
        ("/v1/audio/translations", [("model", "gpt")], "Choose from large-v3, medium", "turbo"),
        ("/v1/audio/translations", [("model", "tiny.en")], "Choose from large-v3, medium", "turbo"),
    ],
)
def test_speech_models(path: str, fields: Fields, listed: str, unlisted: str, client: httpx.Client, talk: Path) -> None:
    answer = send(client, path, talk, fields)
    assert answer.status_code == 400
    assert listed in answer.json()["error"]
    assert unlisted not in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "listed"),
    [
        ("/v1/embed", {"texts": ["a"]}, ["all-MiniLM-L6-v2", "all-MiniLM-L6-v2-int8"]),
        ("/v1/embeddings", {"input": "a"}, ["all-MiniLM-L6-v2", "all-MiniLM-L6-v2-int8"]),
        ("/v1/translate", {"text": "Good morning.", "target": "de"}, ["madlad400-3b-mt"]),
    ],
)
@pytest.mark.parametrize("wanted", ["gpt", "base"])
def test_text_models(wanted: str, path: str, body: dict[str, Any], listed: list[str], client: httpx.Client) -> None:
    answer = client.post(path, json={**body, "model": wanted})
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(f"Choose from {', '.join(listed)}.")


def test_an_english_model_names_those_of_other_languages(strict: Served, talk: Path) -> None:
    weights = strict.settings.models_dir / "tiny.en"
    weights.mkdir(exist_ok=True)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (weights / name).touch()
    with httpx.Client(base_url=strict.url, headers=MINE) as client:
        answer = send(client, "/v1/transcribe", talk, [("model", "tiny.en"), ("language", "deu")])
    assert answer.status_code == 400
    assert "Choose from large-v3-turbo, large-v3, medium, small, base, or language=en." in answer.json()["error"]


# Empty fields


@pytest.mark.parametrize("op", FORMS, ids=lambda op: op.name)
def test_empty_optional_fields_are_not_sent(op: Operation, client: httpx.Client, talk: Path) -> None:
    optional = [name for name, info in op.fields.items() if not info.is_required()]
    assert optional
    answer = send(client, op.path, talk, [(name, "") for name in optional])
    assert answer.status_code == 200, answer.text
    again = send(client, op.path, talk, [])
    if "json" not in answer.headers["content-type"]:  # a file
        assert answer.content == again.content
        return
    first, second = (json.loads(one.text.splitlines()[-1]) for one in (answer, again))  # of a stream, the last update
    assert {**first, "id": 0, "provenance": 0} == {**second, "id": 0, "provenance": 0}


def test_other_names_and_lists_may_be_empty_too(client: httpx.Client, talk: Path) -> None:
    assert send(client, "/v1/transcribe", talk, [("async", "")]).status_code == 200
    assert send(client, "/v1/audio/transcriptions", talk, [("timestamp_granularities[]", "")]).status_code == 200


def test_an_unknown_empty_field_is_refused(client: httpx.Client, talk: Path) -> None:
    answer = send(client, "/v1/transcribe", talk, [("volume", "")])
    assert (answer.status_code, "'volume'" in answer.json()["error"]) == (400, True)


# OpenAI's package: models


def test_openai_lists_models(theirs: package.OpenAI, client: httpx.Client) -> None:
    listed = list(theirs.models.list())
    assert {"large-v3-turbo", "base", "all-MiniLM-L6-v2"} <= {model.id for model in listed}
    base = next(model for model in listed if model.id == "base")
    assert (base.object, base.created, base.owned_by) == ("model", 0, "Systran")
    both = client.get("/v1/models").json()
    assert both["object"] == "list"
    assert both["models"][0]["id"] == both["data"][0]["id"] == "large-v3-turbo"


def test_openai_retrieves_a_model(theirs: package.OpenAI, client: httpx.Client) -> None:
    assert theirs.models.retrieve("base").id == "base"
    with pytest.raises(package.NotFoundError) as caught:
        theirs.models.retrieve("gpt")
    assert "Model 'gpt' was not found" in caught.value.response.json()["error"]
    answer = client.get("/v1/models/gpt")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "Choose from large-v3-turbo" in answer.json()["error"]


# OpenAI's package: embeddings


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openai_embeds(encoding: Any, theirs: package.OpenAI, client: httpx.Client) -> None:
    texts = ["Good morning.", "The roof leaks."]
    plain = client.post("/v1/embed", json={"texts": texts}).json()
    made = theirs.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format=encoding)
    vectors: list[Any] = [one.embedding for one in made.data]
    if encoding == "base64":  # the package decodes only what it asked for itself
        assert all(isinstance(vector, str) for vector in vectors)
        vectors = [memoryview(base64.b64decode(vector)).cast("f").tolist() for vector in vectors]
    assert [one.index for one in made.data] == [0, 1]
    for vector, expected in zip(vectors, plain["embeddings"], strict=True):
        assert vector == pytest.approx(expected, abs=1e-7)
    assert made.model == plain["model"] == "all-MiniLM-L6-v2"
    assert made.usage.prompt_tokens == made.usage.total_tokens == plain["tokens"] == 5


@pytest.mark.parametrize(
    "model", ["text-embedding-ada-002", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"]
)
def test_openai_embeds_one_text(model: str, theirs: package.OpenAI) -> None:
    made = theirs.embeddings.create(model=model, input="Good morning.")  # the package asks for base64 and decodes it
    assert sum(x * x for x in made.data[0].embedding) == pytest.approx(1)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"input": "a", "dimensions": 256}, "have 384 dimensions, not 256. Leave dimensions out, or send 384"),
        ({"input": [1, 2]}, "Send text, or a list of texts"),
        ({"input": [[1, 2]]}, "Send text, or a list of texts"),
        ({"input": []}, "at least one"),
        ({"input": ["a", " "]}, "Text 1 is empty"),
        ({"input": "a", "encoding_format": "int8"}, "'float' or 'base64'"),
        ({"input": "a", "model": "gpt-4o"}, "Choose from all-MiniLM-L6-v2"),
        ({}, "'input'"),
    ],
)
def test_bad_embeddings(body: dict[str, Any], says: str, client: httpx.Client, theirs: package.OpenAI) -> None:
    answer = client.post("/v1/embeddings", json=body)
    assert (answer.status_code, says in answer.json()["error"]) == (400, True), answer.text
    with pytest.raises(package.BadRequestError) as caught:
        theirs.post("/embeddings", body=body, cast_to=object)
    assert says in str(caught.value)


def test_dimensions_that_fit(theirs: package.OpenAI) -> None:
    assert theirs.embeddings.create(model="text-embedding-3-large", input="a", dimensions=384).data


# OpenAI's package: probabilities, and names of the hub


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
def test_openai_has_logprobs(model: str, theirs: package.OpenAI, talk: Path) -> None:
    made = theirs.audio.transcriptions.create(model=model, file=talk, include=["logprobs"])
    assert made.logprobs
    assert "".join(one.token or "" for one in made.logprobs) == made.text
    assert [one.logprob for one in made.logprobs[:2]] == pytest.approx([math.log(0.3), math.log(0.9)], abs=1e-5)
    assert bytes(int(b) for b in made.logprobs[1].bytes or ()) == b" morning."


def test_a_stream_has_logprobs_at_its_end(theirs: package.OpenAI, talk: Path) -> None:
    create = theirs.audio.transcriptions.create
    events = list(create(model="gpt-4o-transcribe", file=talk, include=["logprobs"], stream=True))
    last = events[-1]
    assert last.type == "transcript.text.done"
    assert "".join(one.token or "" for one in last.logprobs or ()) == last.text


@pytest.mark.parametrize("form", ["text", "srt", "vtt", "verbose_json", "diarized_json"])
def test_other_formats_refuse_logprobs(form: Any, theirs: package.OpenAI, talk: Path) -> None:
    with pytest.raises(package.BadRequestError, match=f"The format {form} has no logprobs"):
        theirs.audio.transcriptions.create(model="whisper-1", file=talk, include=["logprobs"], response_format=form)


@pytest.mark.parametrize(
    "name", ["Systran/faster-whisper-base", "openai/whisper-base", "Someone/faster-whisper-base-ct2", "whisper-base"]
)
def test_names_of_the_hub(name: str, theirs: package.OpenAI, talk: Path) -> None:
    made = theirs.audio.transcriptions.create(model=name, file=talk)
    assert not (made.model_extra or {}).get("warnings")


@pytest.mark.parametrize("name", ["openai/whisper-large-v3", "openai/whisper-large-v2"])
def test_names_of_the_hub_that_are_not_installed(name: str, theirs: package.OpenAI, strict: Served, talk: Path) -> None:
    made = theirs.audio.transcriptions.create(model=name, file=talk)
    (warning,) = (made.model_extra or {})["warnings"]
    assert warning == f"The model '{name}' is not installed; 'base' was used instead."
    with httpx.Client(base_url=strict.url, headers=MINE) as client:
        answer = send(client, "/v1/transcribe", talk, [("model", name)])
    assert (answer.status_code, answer.json()["code"]) == (503, "model_missing")


def test_other_names_of_the_hub_are_unknown(client: httpx.Client, talk: Path) -> None:
    answer = send(client, "/v1/transcribe", talk, [("model", "nvidia/parakeet")])
    assert (answer.status_code, "was not found. Choose from" in answer.json()["error"]) == (400, True)
