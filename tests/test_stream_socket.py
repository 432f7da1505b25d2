"""The WebSocket /v1/stream: its messages, its refusals, what it keeps and costs. A fake engine says the words."""

from __future__ import annotations

import json
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from fakes import KEY, Service, fakes_fixture, files, served, until
from live_toys import Client, levels, silence, talking, voice
from websockets.exceptions import ConnectionClosed, InvalidStatus

from stt_lab.accounts.credits import Tier
from stt_lab.errors import EngineCrashed
from stt_lab.settings import MB, Settings

__all__ = ["fakes_fixture", "levels"]

Make = Callable[..., Settings]
QUERY = "?model=clockwork&language=en"
pytestmark = pytest.mark.usefixtures("levels")


@pytest.fixture
def service(fakes: Make) -> Iterator[Service]:
    with served(fakes()) as made:
        yield made


def account(service: Service, name: str = "ada", credits: int = 0, tier: str = "free", **tiers: int) -> tuple[int, str]:
    """An account with a key. Return its number and the key."""
    service.accounts.set_tier(Tier(name="paying", takes_credits=True, **tiers))
    made = service.accounts.create(name, tier="paying" if credits or tiers else tier)
    if credits:
        service.accounts.grant(made.id, credits)
    _, raw = service.accounts.create_key(made.id, "test", ("speech", "library"))
    return made.id, raw


def configured(client: Client, **values: object) -> dict[str, object]:
    client.tell(**{"model": "clockwork", "language": "en"} | values)
    return client.until("status", "ready")


def test_a_conversation_as_documented(service: Service) -> None:
    with talking(service.port, key=KEY) as client:
        assert configured(client)["model"] == "clockwork"
        client.say(voice(1.5))
        while not client.next().get("partial"):
            pass
        client.say(voice(0.5) + silence(1.5) + voice(1))
        client.tell(action="stop")
        assert client.code() == 1000
    first, second = client.finals
    assert first["text"] == "w0 w1 w2 w3"
    assert (first["start"], first["end"], len(first["words"])) == (0.0, 1.95, 4)
    assert second["text"] == "w7 w8"
    last = client.messages[-1]
    assert (last["is_final"], last["final"], last["text"]) == (True, True, "")
    assert last["transcript"] == " ".join(one["text"] for one in client.messages if one["text"])
    assert last["duration"] == pytest.approx(4.5)
    assert files(service.settings.data_dir / "jobs") == []


def test_the_query_is_a_configuration_and_the_last_message_tells_all(service: Service) -> None:
    with talking(service.port, f"{QUERY}&token={KEY}") as client:
        client.say(voice(2))
        client.connection.send(b"")
        assert client.code() == 1000
    assert client.messages[-1]["text"] == client.messages[-1]["transcript"] == "w0 w1 w2 w3"


def test_early_sound_is_kept(service: Service) -> None:
    with talking(service.port, key=KEY) as client:
        client.tell(model="clockwork", language="en")
        client.say(voice(2) + silence(1))
        assert client.until("words")["text"] == "w0 w1 w2 w3"


def test_finalize_makes_final_what_was_said(service: Service) -> None:
    with talking(service.port, QUERY, KEY) as client:
        client.until("status", "ready")
        client.say(voice(2))
        client.tell(action="finalize")
        assert client.until("words")["text"] == "w0 w1 w2 w3"
        client.say(voice(1) + silence(1.5))
        assert client.until("words")["text"].startswith("w4")


def test_heartbeat_while_nobody_speaks(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.web.live.HEARTBEAT_S", 0.2)
    with talking(service.port, QUERY, KEY) as client:
        client.until("status", "ready")
        alive = client.until("status", "alive")
    assert alive == {"text": "", "status": "alive", "lag": 0.0, "rtf": 0.0}


@pytest.mark.parametrize(("query", "key"), [(QUERY, None), (QUERY, "stt_wrong"), (f"{QUERY}&token=stt_wrong", None)])
def test_without_a_right_key_it_says_so_and_closes(service: Service, query: str, key: str | None) -> None:
    with talking(service.port, query, key) as client:
        assert client.code() == 1008
    assert client.messages[0]["code"] == "unauthorized"


def test_a_key_without_the_scope(service: Service) -> None:
    number, _ = account(service)
    _, raw = service.accounts.create_key(number, "reads", ("library",))
    with talking(service.port, QUERY, raw) as client:
        assert client.code() == 1008
    assert client.messages[0]["code"] == "forbidden"


def test_a_page_of_another_site_is_refused_before_the_upgrade(service: Service) -> None:
    headers = {"Origin": "https://evil.example", "Cookie": "stt_lab_session=x"}
    with pytest.raises(InvalidStatus) as refused, talking(service.port, QUERY, headers=headers):
        pass
    assert refused.value.response.status_code == 403
    with talking(service.port, f"{QUERY}&token={KEY}", headers={"Origin": "https://elsewhere.example"}) as client:
        client.until("status", "ready")  # a page with a key, as the hosted API documents it


def test_a_token_opens_one_stream(service: Service) -> None:
    _, raw = account(service)
    address = f"http://127.0.0.1:{service.port}/v1/stream/token"
    assert httpx.post(address, json={}).status_code == 401
    made = httpx.post(address, json={}, headers={"Authorization": f"Bearer {raw}"}).json()
    assert made["expires_in"] == 60
    with talking(service.port, f"{QUERY}&token={made['token']}") as client:
        client.until("status", "ready")
    with talking(service.port, f"{QUERY}&token={made['token']}") as client:
        assert client.code() == 1008
    assert (
        httpx.get(
            address.replace("stream/token", "models"), headers={"Authorization": f"Bearer {made['token']}"}
        ).status_code
        == 401
    )


def test_a_token_of_a_revoked_key_opens_nothing(service: Service) -> None:
    number, raw = account(service)
    address = f"http://127.0.0.1:{service.port}/v1/stream/token"
    token = httpx.post(address, json={}, headers={"Authorization": f"Bearer {raw}"}).json()["token"]
    service.accounts.revoke_key(number, service.accounts.keys(number)[0].id)
    with talking(service.port, f"{QUERY}&token={token}") as client:
        assert client.code() == 1008


WRONG = [
    (b"\0\0", "configuration"),
    ("{", "JSON object"),
    ("[1]", "JSON object"),
    ('{"model": "clockwork", "speed": 3}', "Unknown parameter 'speed'"),
    ('{"model": "nothing-like-it"}', "nothing-like-it"),
    ('{"silence_ms": 9}', "silence_ms"),
    ('{"language": "xx-nowhere"}', "language"),
]


@pytest.mark.parametrize(("sent", "said"), WRONG)
def test_a_wrong_configuration_is_answered_and_may_be_sent_again(
    service: Service, sent: bytes | str, said: str
) -> None:
    with talking(service.port, key=KEY) as client:
        client.connection.send(sent)
        assert said in client.next()["error"]
        configured(client)


def test_a_wrong_query_ends_the_stream(service: Service) -> None:
    with talking(service.port, "?model=nothing-like-it", KEY) as client:
        assert client.code() == 1008
    assert "nothing-like-it" in client.messages[0]["error"]


def test_wrong_messages_in_between(service: Service) -> None:
    with talking(service.port, QUERY, KEY) as client:
        client.until("status", "ready")
        client.connection.send(b"\0\0\0")
        assert "half a sample" in client.until("error")["error"]
        client.tell(action="dance")
        assert "known action" in client.until("error")["error"]
        client.say(voice(2) + silence(1))
        assert client.until("words")["text"] == "w0 w1 w2 w3"  # the stream has gone on
        client.connection.send(b"\0")
        client.connection.send(b"\0")
        assert client.code() == 1003
    assert any(one.get("final") for one in client.messages)


def test_a_large_message_ends_it(service: Service) -> None:
    with talking(service.port, QUERY, KEY) as client:
        client.connection.send(bytes(MB + 2))
        assert client.code() == 1009
    assert "1 MiB" in client.messages[-1]["error"]


def test_a_message_without_end(service: Service) -> None:
    with talking(service.port, QUERY, KEY) as client:
        client.until("status", "ready")
        with suppress(ConnectionClosed):  # while it still sends, so the reason may get lost on the way
            client.connection.send(bytes(16 * MB))
            client.code()
    with talking(service.port, QUERY, KEY) as client:
        client.until("status", "ready")


def test_no_sound_for_long(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.web.live.IDLE_S", 1.0)
    with talking(service.port, QUERY, KEY) as client:
        client.until("status", "ready")
        client.say(voice(1))
        for _ in range(4):
            time.sleep(0.5)
            client.tell(action="keepalive")
        began = time.monotonic()
        assert client.code() == 4000
        assert time.monotonic() - began > 0.5
    assert client.messages[-2]["final"] is True
    assert "No sound" in client.messages[-1]["error"]


def test_the_longest_stream(fakes: Make) -> None:
    with served(fakes(max_stream_hours=1.5 / 3600)) as service, talking(service.port, QUERY, KEY) as client:
        client.until("status", "ready")
        client.say(voice(1))
        assert client.code() == 4001
    assert client.messages[-2]["transcript"] == "w0 w1"


def test_a_full_machine_refuses_and_others_go_on(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.engines.admission.MOST", 2)
    with talking(service.port, QUERY, KEY) as one, talking(service.port, QUERY, KEY) as two:
        one.until("status", "ready")
        two.until("status", "ready")
        with talking(service.port, QUERY, KEY) as third:
            assert third.code() == 1013
        assert third.messages[-1]["retry_after"] > 0
        one.say(voice(2) + silence(1))
        assert one.until("words")["text"] == "w0 w1 w2 w3"


def test_many_silent_connections(service: Service) -> None:
    clients = [talking(service.port, key=KEY) for _ in range(40)]
    opened = [one.__enter__() for one in clients]
    try:
        refused = [one for one in opened if _is_closed(one)]
        assert len(refused) == 8  # of an address, 32 may be open
        assert {one.messages[0]["retry_after"] for one in refused} == {5}
        assert httpx.get(f"http://127.0.0.1:{service.port}/health").status_code == 200
    finally:
        for one in clients:
            one.__exit__(None, None, None)
    until(lambda: _opens(service))


def _is_closed(client: Client) -> bool:
    try:
        client.next(0.2)
    except TimeoutError:
        return False
    return client.code() == 1013


def _opens(service: Service) -> bool:
    with talking(service.port, key=KEY) as client:
        return not _is_closed(client)


# What is kept, and what it costs


def test_a_stored_stream_is_in_the_library_with_its_sound(service: Service) -> None:
    number, raw = account(service)
    with talking(service.port, f"{QUERY}&store=true", raw) as client:
        client.say(voice(2) + silence(1))
        client.tell(action="stop")
        assert client.code() == 1000
    made = service.library.transcript(number, client.messages[-1]["id"])
    assert made.text == "w0 w1 w2 w3"
    assert made.duration == pytest.approx(3.0)
    sound = service.library.audio(number, client.messages[-1]["id"])
    assert sound.read_bytes()[:4] == b"RIFF"
    assert sound.stat().st_size == 44 + 3 * 32000
    assert service.library.list(number).results[0].title.startswith("Live 20")


def test_nothing_is_kept_of_others(service: Service) -> None:
    number, raw = account(service)
    with talking(service.port, QUERY, raw) as client:
        client.say(voice(2))
        client.tell(action="stop")
        assert client.code() == 1000
    assert "id" not in client.messages[-1]
    assert service.library.list(number).count == 0
    assert files(service.settings.data_dir / "jobs") == []


def test_a_client_that_vanishes(service: Service) -> None:
    number, raw = account(service)
    with talking(service.port, f"{QUERY}&store=true", raw) as client:
        client.say(voice(2) + silence(1.5))
        client.until("words")
        client.say(voice(1))
        client.connection.socket.close()
    until(lambda: [one.status for one in service.library.list(number).results] == ["done"])
    (kept,) = service.library.list(number).results
    assert service.library.transcript(number, kept.id).text.startswith("w0 w1 w2 w3")


def test_minutes_are_charged_as_they_begin(service: Service) -> None:
    number, raw = account(service, credits=10)
    with talking(service.port, QUERY, raw) as client:
        client.until("status", "ready")
        assert service.accounts.balance(number) == 10
        client.say(silence(30))
        until(lambda: service.accounts.balance(number) == 9)
        client.say(silence(31))
        until(lambda: service.accounts.balance(number) == 8)
        client.tell(action="stop")
        assert client.code() == 1000
    assert service.accounts.balance(number) == 8
    (today,) = [day for day in service.accounts.usage(number) if day.minutes]
    assert (today.minutes, today.credits, today.jobs) == (2, 2, 1)


def test_a_stream_cannot_overdraw(service: Service) -> None:
    number, raw = account(service, credits=1)
    with talking(service.port, QUERY, raw) as client:
        client.say(silence(58) + voice(2) + silence(5))
        assert client.code() == 1008
    assert client.finals[0]["text"] == "w116 w117 w118 w119"  # what was paid for is told
    assert client.messages[-1]["code"] == "no_credits"
    assert service.accounts.balance(number) == 0
    with talking(service.port, QUERY, raw) as client:
        assert client.code() == 1008
    assert client.messages[0]["code"] == "no_credits"


def test_a_stream_without_sound_costs_and_leaves_nothing(service: Service) -> None:
    number, raw = account(service, credits=1)
    with talking(service.port, f"{QUERY}&store=true", raw) as client:
        client.until("status", "ready")
        client.tell(action="stop")
        assert client.code() == 1000
    assert service.accounts.balance(number) == 1
    assert service.library.list(number).count == 0


def test_a_failing_engine_says_so_and_costs_nothing(service: Service) -> None:
    number, raw = account(service, credits=1)
    with talking(service.port, "?model=broken", raw) as client:
        assert client.code() == 1011
    assert "passwd" not in json.dumps(client.messages)
    assert service.accounts.balance(number) == 1


@pytest.mark.parametrize("left", [2, 1])
def test_an_engine_that_fails_later(service: Service, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything was final it costs nothing; after that what was heard."""
    number, raw = account(service, credits=2)
    with talking(service.port, f"{QUERY}&store=true", raw) as client:
        client.until("status", "ready")
        if left == 1:
            client.say(voice(1) + silence(1.5))
            client.until("words")
        monkeypatch.setattr(service.runtime.pool, "transcribe", crash)
        client.say(voice(2))
        assert client.code() == 1011
    assert service.accounts.balance(number) == left
    (kept,) = service.library.list(number).results
    assert kept.status == ("done" if left == 1 else "failed")
    assert files(service.settings.data_dir / "jobs") == []


def crash(*arguments: object, **options: object) -> None:
    raise EngineCrashed("The engine stopped unexpectedly.")


def test_one_account_has_its_number_of_streams(service: Service) -> None:
    _, raw = account(service, credits=5, concurrent_jobs=1)
    with talking(service.port, QUERY, raw) as one:
        one.until("status", "ready")
        with talking(service.port, QUERY, raw) as two:
            assert two.code() == 1008
        assert two.messages[-1]["code"] == "rate_limited"
        assert two.messages[-1]["retry_after"] > 0


def test_a_stopping_server_says_so(fakes: Make) -> None:
    with served(fakes()) as service:
        number, raw = account(service)
        with talking(service.port, f"{QUERY}&store=true", raw) as client:
            client.say(voice(2) + silence(1.5))
            client.until("words")
            service.server.should_exit = True
            assert client.code() == 1012
        assert "error" in client.messages[-1]
        until(lambda: [one.status for one in service.library.list(number).results] == ["done"])


def test_sound_at_full_speed_is_slowed_down_not_dropped(service: Service) -> None:
    with talking(service.port, QUERY, KEY) as client:
        client.say((voice(2) + silence(1)) * 40, piece=MB // 2)
        client.tell(action="stop")
        assert client.code() == 1000
    assert len(client.messages[-1]["transcript"].split()) == 160


def test_sound_is_dropped_when_it_is_final(service: Service) -> None:
    with talking(service.port, QUERY, KEY) as client:
        client.say((voice(2) + silence(1)) * 60, piece=MB // 2)
        until(lambda: any(path.stat().st_size > 0 for path in files(service.settings.data_dir / "jobs")))
        client.tell(action="stop")
        assert client.code() == 1000
    starts = [one["start"] for one in client.finals]
    assert len(starts) == 60
    assert all(abs(start - 3 * number) < 0.3 for number, start in enumerate(starts))  # also where sound was dropped


def test_a_client_that_never_reads(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_lab.web.live.SEND_S", 0.5)
    monkeypatch.setattr("stt_lab.web.live.HEARTBEAT_S", 0.0)
    with talking(service.port, QUERY, KEY, max_queue=1) as client:
        client.connection.send(silence(0.1))
        until(lambda: service.runtime.pool.admission.open == 1)
        until(lambda: service.runtime.pool.admission.open == 0, 60)  # its buffers were filled


def test_a_file_over_http(service: Service, tmp_path: Path) -> None:
    """A file over HTTP: a line for each update."""
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(voice(2) + silence(1))
    number, raw = account(service, credits=3)
    address = f"http://127.0.0.1:{service.port}/v1/stream"
    with path.open("rb") as file:
        answer = httpx.post(
            address,
            files={"file": file},
            data={"model": "clockwork", "language": "en", "store": "true"},
            headers={"Authorization": f"Bearer {raw}"},
        )
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[0]["status"] == "ready"
    assert lines[-1]["transcript"] == "w0 w1 w2 w3"
    assert service.library.transcript(number, lines[-1]["id"]).text == "w0 w1 w2 w3"
    assert service.accounts.balance(number) == 2
