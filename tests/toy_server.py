"""The real application on a real port, with engines that need no weights: for tests of surfaces."""

from __future__ import annotations

import re
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import uvicorn
from fakes import files
from fastapi import FastAPI

from stt_lab.accounts.accounts import Tier
from stt_lab.accounts.wrong_keys import WrongKeys
from stt_lab.engines import pool
from stt_lab.engines.protocols import EngineSpec, Goal, Search, SpokenSentence, Voice, VoiceCopy, VoiceMatch, VoiceMix
from stt_lab.installation import Installation
from stt_lab.server import OPTIONS, compose, create_app
from stt_lab.settings import Settings
from stt_lab.text.sentences import sentences
from stt_lab.types import (
    Audio,
    Diarization,
    Entity,
    Event,
    Parsed,
    Provenance,
    Recognition,
    Report,
    Segment,
    Span,
    Suppressed,
    Turn,
    Word,
)
from stt_lab.weights import catalog

API = "/gradio_api"
KEY = "toy-key-of-the-administrator"
MINE = {"Authorization": f"Bearer {KEY}"}


class Toy:
    """What toy engines share: how long they work, and how often they were stopped."""

    spec: EngineSpec
    seconds: ClassVar[float] = 0.0
    began: ClassVar[int] = 0
    stopped: ClassVar[int] = 0
    lines: ClassVar[tuple[str, ...]] = ("Good morning.", "Hello there, friend.")
    languages = ("en",)
    supports_words = True

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec

    def load(self) -> None: ...

    def unload(self) -> None: ...

    def work(self, stage: str, report: Report) -> None:
        steps = max(1, int(Toy.seconds / 0.05))
        Toy.began += 1
        heard = " ".join(Toy.lines).split(" ")[0] if stage == "transcribing" else ""
        try:
            for step in range(steps):
                report(Event(stage, step / steps, heard))
                time.sleep(Toy.seconds / steps)
        except BaseException:
            Toy.stopped += 1
            raise

    def made(self, name: str) -> Provenance:
        return Provenance(name, self.spec.model, "cpu", "1", elapsed=0.1)


class ToyTranscriber(Toy):
    """Says its lines, one after the other, as long as the sound lasts."""

    def transcribe(
        self,
        audio: Audio,
        language: str | None,
        report: Report,
        goal: Goal = "transcribe",
        stretches: tuple[Span, ...] = (),
        search: Search = "full",
    ) -> Recognition:
        self.work("transcribing", report)
        if "broken" in Toy.lines:
            raise RuntimeError("secret detail of /etc/somewhere")
        share = audio.duration / max(1, len(Toy.lines))
        segments = tuple(self.line(text, i * share, share) for i, text in enumerate(Toy.lines))
        suppressed = (Suppressed(0.0, min(0.2, audio.duration), "<i>Thank you.</i>", "nobody speaks"),)
        return Recognition("en" if segments else None, segments, self.made("toy-transcriber"), suppressed)

    @staticmethod
    def line(text: str, start: float, duration: float) -> Segment:
        parts = text.split()
        each = duration / len(parts)
        words = tuple(
            Word(start + i * each, start + (i + 1) * each, f" {part}", 0.9 if i else 0.3)
            for i, part in enumerate(parts)
        )
        return Segment(start, start + duration, text, words)


class ToyDiarizer(Toy):
    """Two speakers, who share the sound."""

    def diarize(self, audio: Audio, speakers: int, report: Report) -> Diarization:
        self.work("diarizing", report)
        half = audio.duration / 2
        turns = (Turn(0.0, half, "Speaker 1"), Turn(half, audio.duration, "Speaker 2"))
        return Diarization(turns, turns, self.made("toy-diarizer"))


class ToyEmbedder(Toy):
    """A text is how often each letter is in it."""

    dimensions = 26

    def embed(self, texts: tuple[str, ...], report: Report) -> Any:
        self.work("reading", report)
        counts = np.array([[1 + text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def embed_counted(self, texts: tuple[str, ...], report: Report) -> tuple[Any, int]:
        return self.embed(texts, report), sum(len(text.split()) for text in texts)


class ToyParser(Toy):
    """Sentences without grammar."""

    def parse(self, text: str, report: Report) -> Parsed:
        self.work("reading", report)
        return Parsed("en", sentences(text))


class ToyPii(Toy):
    """Everything that is called Ada."""

    def find_pii(
        self, text: str, language: str | None, kinds: tuple[str, ...], names: tuple[str, ...], report: Report
    ) -> tuple[Entity, ...]:
        self.work("reading", report)
        found = re.finditer("|".join(["Ada", *map(re.escape, names)]), text)
        return tuple(Entity(one.start(), one.end(), one[0], "PERSON") for one in found if "PERSON" in kinds)


class ToyTranslator(Toy):
    """Writes in capitals."""

    def translate(
        self, texts: tuple[str, ...], source: str | None, target: str, report: Report, again: bool = False
    ) -> tuple[str, ...]:
        self.work("translating", report)
        return tuple(text.upper() for text in texts)


class ToySpeaker(Toy):
    """Hums a second a sentence."""

    said: ClassVar[list[tuple[str, str, float]]] = []
    matched: ClassVar[int] = 0  # references
    words: ClassVar[str] = ""  # of the last one
    breaks: ClassVar[str] = ""  # a sentence with this word cannot be spoken
    languages = ("en", "es")

    def voices(self) -> tuple[str, ...]:
        return ("af_heart",)

    def match(self, audio: Audio, report: Report, copy: VoiceCopy | None = None) -> VoiceMatch:
        ToySpeaker.matched += 1
        ToySpeaker.words = copy.words if copy else ""
        return VoiceMatch(VoiceMix((("af_heart", 1.0),)), 0.625)

    def speak(self, text: str, language: str, voice: Voice, speed: float, report: Report) -> SpokenSentence:
        self.work("speaking", report)
        if ToySpeaker.breaks and ToySpeaker.breaks in text:
            raise RuntimeError("secret detail of /etc/somewhere")
        ToySpeaker.said.append((text, language, speed))
        report(Event("speaking", 1.0))
        return SpokenSentence(np.full(24_000, 0.25, np.float32), 24_000)


def settings_for(folder: Path, **more: object) -> Settings:
    """Settings over a folder with empty files where weights would be."""
    texts = ("all-MiniLM-L6-v2", "en_core_web_sm", "madlad400-3b-mt")
    speech = ("base", "kokoro-82m", *catalog.get("kokoro-82m").needs)
    for model_id in (*speech, *texts, catalog.models("diarize")[-1].id, *catalog.models("diarize")[-1].needs):
        place = folder / "models" / model_id
        place.mkdir(parents=True, exist_ok=True)
        for name in catalog.get(model_id).files:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name.replace("*", "json")).touch()
    plain: dict[str, object] = {"admin_key": KEY, "engine_host": "inprocess", "max_upload_mb": 2, "device": "cpu"}
    plain["recordings_at_once"] = 1  # so that a queue is soon full
    return Settings(data_dir=folder / "data", models_dir=folder / "models", **(plain | more))  # type: ignore[arg-type]


def wav(path: Path, seconds: float = 2.0, rate: int = 16_000) -> Path:
    """A quiet tone: enough for a decoder."""
    samples = bytes(
        b for i in range(int(seconds * rate)) for b in ((i * 37 % 2000) - 1000).to_bytes(2, "little", signed=True)
    )
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)
    return path


class Served:
    """A running application."""

    def __init__(self, server: uvicorn.Server, settings: Settings, app: FastAPI) -> None:
        self.server, self.settings, self.app = server, settings, app
        parts: Installation = app.state.installation
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        self.access, self.accounts = parts.access, parts.runtime.accounts

    @property
    def uploads(self) -> list[Path]:
        """Files that lie in Gradio's folder."""
        return files(self.settings.data_dir / "gradio")


@contextmanager
def serve(settings: Settings, real: bool = False, address: str = "") -> Iterator[Served]:
    """The application in a thread of this process, on a free port; with `real` engines, or toys in their places.

    With the `address` 127.0.0.1 it knows that it listens on loopback only, as a server that a person starts.
    """
    engines = dict(pool.ENGINES)
    toys = {
        "faster-whisper": "ToyTranscriber",
        "pyannote": "ToyDiarizer",
        "minilm": "ToyEmbedder",
        "spacy": "ToyParser",
        "presidio": "ToyPii",
        "firefox": "ToyTranslator",
        "madlad": "ToyTranslator",
        "kokoro": "ToySpeaker",
    }
    pool.ENGINES.update({} if real else {engine: f"{__name__}:{toy}" for engine, toy in toys.items()})
    app = create_app(compose(settings, address))
    app.state.installation.runtime.accounts.set_tier(Tier(name="anonymous"))  # without limits
    app.state.installation.access.wrong_keys = WrongKeys(limit=10_000)  # tests send many, all from one address
    config = uvicorn.Config(app, "127.0.0.1", 0, **OPTIONS | {"timeout_graceful_shutdown": 2})
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server ended while it started"
            time.sleep(0.02)
        yield Served(server, settings, app)
    finally:
        server.should_exit = True
        thread.join(20)
        pool.ENGINES.update(engines)
        Toy.seconds, Toy.lines = 0.0, ("Good morning.", "Hello there, friend.")


def until(true: object, seconds: float = 20.0) -> float:
    """Wait until the callable is true, and return how long that took; fails after `seconds`."""
    assert callable(true)
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not become true in time"
        time.sleep(0.02)
    return time.monotonic() - began


# Raw calls of Gradio


def file_data(path: object, meta: bool = True) -> dict[str, Any]:
    """A file as Gradio's clients name it."""
    return {"path": str(path), **({"meta": {"_type": "gradio.FileData"}} if meta else {})}


def functions(client: httpx.Client) -> list[dict[str, Any]]:
    """The functions behind the page and the API, public and private."""
    found: list[dict[str, Any]] = client.get("/config").json()["dependencies"]
    return found


def file_inputs(client: httpx.Client) -> dict[int, list[int]]:
    """For each function of the page or the API: how many inputs it has, and which of them take files."""
    config = client.get("/config").json()
    kinds = {part["id"]: part["type"] for part in config["components"]}
    found = {}
    for fn in config["dependencies"]:
        slots = [
            number
            for number, part in enumerate(fn["inputs"])
            if kinds[part] in ("file", "audio") or (kinds[part] == "api" and number == 0)
        ]
        if slots:
            found[fn["id"]] = slots
    return found


def join(client: httpx.Client, fn_index: int, data: list[Any], session: str = "", **headers: str) -> str:
    """What the queue sends about a call, as text, until it has ended; of a page of its own, or of a given one."""
    session = session or f"s{time.monotonic_ns()}"
    body = {"data": data, "fn_index": fn_index, "session_hash": session}
    answer = client.post(f"{API}/queue/join", json=body, headers=headers)
    if answer.status_code != 200:
        return answer.text
    told = ""
    with client.stream("GET", f"{API}/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            told += line
            if "close_stream" in line:
                break
    return told


def upload(client: httpx.Client, content: bytes, name: str = "a.wav") -> str:
    answer = client.post(f"{API}/upload", files={"files": (name, content)})
    assert answer.status_code == 200, answer.text
    path: str = answer.json()[0]
    return path


def handler(client: httpx.Client, name: str) -> int:
    """The function of this name, public or private."""
    return next(int(fn["id"]) for fn in functions(client) if fn["api_name"] == name)


def button(client: httpx.Client, target_text: str) -> int:
    """The function behind a button of the page."""
    config = client.get("/config").json()
    button = next(part["id"] for part in config["components"] if part["props"].get("value") == target_text)
    return next(int(fn["id"]) for fn in config["dependencies"] if [button, "click"] in map(list, fn["targets"]))


def transcribed(client: httpx.Client, address: str, session: str = "", **headers: str) -> str:
    """What the page is told about a recording: that it is a job, its progress, and its result or what is wrong."""
    session = session or f"s{time.monotonic_ns()}"
    run = [{"path": address, "meta": {"_type": "gradio.FileData"}}, None, "base", "auto", True, 0]
    told = join(client, button(client, "Transcribe"), run, session, **headers)
    job = re.search(r"job_[0-9a-f]{32}", told)
    return told + join(client, handler(client, "follow"), [job[0]], session, **headers) if job else told
