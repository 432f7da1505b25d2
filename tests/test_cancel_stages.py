"""A cancelled job ends at its next safe point, in each stage of a real engine, within five seconds; nothing is kept."""

from __future__ import annotations

import importlib.util
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stt_lab.accounts.accounts import Tier
from stt_lab.caller import Caller
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import PII, Message
from stt_lab.errors import Cancelled, SttError
from stt_lab.installation import Installation
from stt_lab.registry import OPERATIONS, Context, call
from stt_lab.server import compose
from stt_lab.settings import Settings, get_settings
from stt_lab.types import Event, JobInfo
from stt_lab.weights import catalog

pytestmark = [pytest.mark.truth, pytest.mark.slow, pytest.mark.timeout(1200)]
ENDS_S = 5.0
OWN_S = 20.0  # in this process, where nothing can end an engine between its safe points, on a busy machine


def speech() -> bytes:
    """The recording that pyannote.audio ships: two speakers, half a minute, 16 kHz."""
    spec = importlib.util.find_spec("pyannote")
    assert spec is not None
    assert spec.submodule_search_locations
    (path,) = [Path(place) / "audio/sample/sample.wav" for place in spec.submodule_search_locations][:1]
    with wave.open(str(path)) as file:
        assert file.getframerate() == 16_000
        return file.readframes(file.getnframes())


def recording(path: Path, samples: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples)
    return path


@contextmanager
def installed(folder: Path, **more: Any) -> Iterator[tuple[Installation, Caller]]:
    """An installation with real weights, and an account that pays."""
    plain: dict[str, Any] = {"data_dir": folder / "data", "models_dir": get_settings().models_dir, "device": "cpu"}
    made = compose(Settings(**plain | {"threads": 2, "recordings_at_once": 2, "max_audio_hours": 24} | more))
    made.jobs.start()
    accounts = made.runtime.accounts
    accounts.set_tier(Tier(name="paid", takes_credits=True))
    account = accounts.create("Ada", tier="paid")
    accounts.grant(account.id, 10_000)
    try:
        yield made, Caller("Ada", frozenset({"speech"}), account_id=account.id)
    finally:
        made.close()


def submit(made: Installation, ada: Caller, file: Path, **more: Any) -> JobInfo:
    context = Context(ada, made.runtime, gate=made.jobs, filename="talk.wav")
    values = {"file": file, "model": "base", "language": "en", "background": True, **more}
    info: JobInfo = call(OPERATIONS["transcribe"], values, context)
    return info


def wait_for(made: Installation, ada: Caller, info: JobInfo, stage: str, seconds: float = 500) -> None:
    deadline = time.monotonic() + seconds
    while (now := made.jobs.get(ada, info.id)).stage != stage:
        assert now.status in ("queued", "running"), now
        assert time.monotonic() < deadline, now
        time.sleep(0.02)


def end_of(made: Installation, ada: Caller, info: JobInfo) -> float:
    """Cancel a job; the seconds until it has ended."""
    began = time.monotonic()
    made.jobs.cancel(ada, info.id)
    while made.jobs.get(ada, info.id).status in ("queued", "running"):
        assert time.monotonic() - began < 60
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("host", ["process", "inprocess"])
@pytest.mark.parametrize("stage", ["decoding", "transcribing", "diarizing"])
def test_each_stage(stage: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.jobs.workers.WRITE_S", 0.05)
    copies = {"decoding": 400, "transcribing": 10, "diarizing": 6}[stage]
    file = recording(tmp_path / "talk.wav", speech() * copies)
    with installed(tmp_path, engine_host=host) as (made, ada):
        info = submit(made, ada, file)
        wait_for(made, ada, info, stage)
        assert end_of(made, ada, info) < (ENDS_S if host == "process" else OWN_S)
        assert made.jobs.get(ada, info.id).status == "cancelled"
        assert made.runtime.accounts.balance(ada.account_id) == 10_000
        assert [one.status for one in made.runtime.library.list(ada.account_id).results] == ["cancelled"]
        for folder in ("jobs", "audio"):
            assert list((tmp_path / "data" / folder).iterdir()) == []
        short = submit(made, ada, recording(tmp_path / "short.wav", speech()[: 16_000 * 2 * 5]), diarize=False)
        wait_for(made, ada, short, "done")  # and the server goes on


def test_a_worker_that_works_for_another_job_is_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.jobs.workers.WRITE_S", 0.05)
    with installed(tmp_path) as (made, ada):
        other = submit(made, ada, recording(tmp_path / "other.wav", speech() * 3), diarize=False)
        wait_for(made, ada, other, "transcribing")
        process = made.runtime.pool.process
        assert process is not None
        info = submit(made, ada, recording(tmp_path / "talk.wav", speech() * 10))
        wait_for(made, ada, info, "transcribing")
        assert end_of(made, ada, info) < ENDS_S
        wait_for(made, ada, other, "done")
        assert made.runtime.pool.process == process
        assert made.jobs.get(ada, other.id).status == "done"


TEXT = "Ada Lovelace lives at 12 High Street, Bristol, and her number is 0117 496 0123. She said it would rain. "
CALLS: dict[str, dict[str, Any]] = {
    "embed": {"texts": tuple(TEXT * 3 for _ in range(600))},
    "parse": {"text": TEXT * 3000},
    "find_pii": {"text": TEXT * 3000, "language": "en", "kinds": PII, "names": ()},
    "translate": {"texts": tuple(TEXT for _ in range(300)), "source": "en", "target": "pt"},
    "complete": {"messages": (Message("user", "Count from one to a million, in words."),), "schema": None, "most": 900},
}
MODELS = {
    "embed": "all-MiniLM-L6-v2",
    "parse": "en_core_web_sm",
    "find_pii": "presidio-en",
    "translate": "firefox-en-pt",
    "complete": "smollm2-135m",
}


@pytest.mark.parametrize("method", CALLS)
def test_calls_on_texts(method: str, tmp_path: Path) -> None:
    model = catalog.get(MODELS[method])
    settings = Settings(data_dir=tmp_path, models_dir=get_settings().models_dir, device="cpu", threads=2)
    if not catalog.available(model, settings):
        pytest.skip(f"{model.id} is not installed")
    pool = Pool(settings)
    gone, begun, ended = threading.Event(), threading.Event(), list[object]()

    def report(event: Event) -> None:
        if event.stage not in ("queued", "loading"):
            begun.set()
        if gone.is_set():
            raise Cancelled("The client disconnected.")

    def work(report: Callable[[Event], None]) -> None:
        try:
            ended.append(pool.work(model, method, report, **CALLS[method]))
        except SttError as problem:
            ended.append(problem)

    thread = threading.Thread(target=work, args=(report,))
    thread.start()
    try:
        assert begun.wait(120) or ended, "it did not begin"
        time.sleep(0.5)
        began = time.monotonic()
        gone.set()
        thread.join(30)
        assert time.monotonic() - began < ENDS_S
        assert isinstance(ended[0], Cancelled), "it had ended before: give it more to do"
    finally:
        gone.set()
        pool.close()
        thread.join(10)
