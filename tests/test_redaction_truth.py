"""Personal data taken out of texts and recordings with real weights."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import Choose

import stt_lab.operations  # noqa: F401  declares the operations
from stt_lab.caller import ADMINISTRATOR_ID, LOCAL
from stt_lab.engines.pool import Pool
from stt_lab.errors import ModelMissing
from stt_lab.privacy.redaction import find_in_transcript, redact, redact_stored
from stt_lab.registry import OPERATIONS, Context, call
from stt_lab.runtime import Runtime
from stt_lab.settings import Settings
from stt_lab.text import normalise
from stt_lab.types import Segment, Transcript, Word, silent
from stt_lab.writing.tools import Tools

pytestmark = pytest.mark.truth


def real_tools(tmp_path: Path) -> Tools:
    return Tools(Pool(Settings(data_dir=tmp_path, engine_host="inprocess", device="cpu")), silent)


def test_redacted_texts(tmp_path: Path) -> None:
    tools = real_tools(tmp_path)
    text = "Hi, this is Elena Marchetti, my card is 4111 1111 1111 1111."
    made = redact(tools, text, "mark")
    assert made.text == "Hi, this is [PERSON], my card is [CREDIT_CARD]."
    assert [text[one.start : one.end] for one in made.entities] == ["Elena Marchetti", "4111 1111 1111 1111"]
    assert not any("Elena" in repr(one) for one in made.entities)  # who asked has it already
    with pytest.raises(ModelMissing):
        redact(tools, "Ich heiße Anna Schmidt und wohne in der Nähe von Ulm an der Donau.", "mark")
    with pytest.raises(ModelMissing, match="models pull"):
        redact(Tools(Pool(Settings(models_dir=tmp_path, device="cpu")), silent), text, "mark")
    words = tuple(
        Word(i, i + 0.8, f" {word}") for i, word in enumerate(["I", "am", "Ada", "Lovelace,", "hello", "Zeb."])
    )
    told = Transcript("en", 6, (Segment(0, 6, "I am Ada Lovelace, hello Zeb.", words, "Zeb Quist"),), ("Zeb Quist",))
    made = redact_stored(tools, told, "mark")
    assert made.text == "I am [PERSON], hello [PERSON]."
    assert [(one.start_time, one.end_time) for one in made.entities] == [(2, 3.8), (5, 5.8)]


def keep(runtime: Runtime, transcript: Transcript, recording: Path) -> int:
    """A transcript in the library, as a job leaves it."""
    library = runtime.library
    library.audio_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy(recording, library.audio_dir / "kept")
    with runtime.database.write() as session:
        number = library.open(session, ADMINISTRATOR_ID, "Reading")
        library.complete(session, number, transcript, "kept")
    return number


@pytest.mark.slow
def test_names_cannot_be_heard_any_more(tmp_path: Path, made_data: Choose, models_dir: Path) -> None:
    """A conversation and a reading of a novel: what is given out says everything but the names."""
    settings = Settings(data_dir=tmp_path, models_dir=models_dir, engine_host="inprocess", device="cpu")
    runtime = Runtime(settings, tmp_path)
    context = Context(LOCAL, runtime)

    def heard(path: Path) -> Transcript:
        values = {"file": path, "model": "base", "language": "en", "diarize": False}
        transcript: Transcript = call(OPERATIONS["transcribe"], values, context)
        return transcript

    everything = [*made_data(kind="utterance", language="en"), *made_data(kind="multi-speaker")]
    spoken = [one for one in everything if re.search("dashwood|Diane", one.text or "")]
    for one, sound in zip(spoken, ("silence", "tone"), strict=True):
        before = heard(one.path)
        number = keep(runtime, before, one.path)
        names = find_in_transcript(Tools(runtime.pool, silent), before)
        assert names, before.text
        values = {"id": str(number), "format": "wav", "sound": sound}
        after = heard(call(OPERATIONS["redact_transcript"], values, context).save(tmp_path))
        plain = set(normalise(after.text, "basic").split())
        secret = {word for name in names for word in normalise(name.text, "basic").split() if len(word) > 2}
        assert not secret & plain, after.text
        others = set(normalise(before.text, "basic").split()) - secret
        assert len(others & plain) >= 0.8 * len(others), (before.text, after.text)
    assert not list(runtime.work_dir.iterdir())
    runtime.close()
