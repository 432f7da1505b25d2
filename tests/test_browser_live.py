"""The Live tab and the example page in a real browser, with a microphone that plays a recording, and a real model."""

from __future__ import annotations

import json
import shutil
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import numpy as np
import pytest
from browsing import FLAGS, Browser, Page, expect, sync_playwright
from conftest import ROOT, Choose
from needs import needs
from playwright.sync_api import WebSocketRoute
from toy_server import Served, serve, until

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.settings import Settings, get_settings
from stt_lab.types import SAMPLE_RATE

pytestmark = [pytest.mark.browser, pytest.mark.truth]

OFTEN_MS = 5_000  # playwright's own
SLOW_MS = 120_000  # for what a model does on a busy machine
PAUSE_S = 1.5
SPOKEN = ("readings__sense_and_sensibility_01_austen_64kb-0870", "prompts__en_agent-alreadyon")
SAID = "dashwood had then leisure to consider how much there might please enter your agent number followed by pound key"
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
COLOUR = "node => getComputedStyle(node).color"
NASTY = "<img src=x onerror=alert(1)> ${document.title='pwned'} {{value}}"
EXAMPLE = ROOT / "examples" / "browser-stream.html"


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    expect.set_options(timeout=SLOW_MS)
    yield
    expect.set_options(timeout=OFTEN_MS)


@pytest.fixture(scope="module")
def spoken(made_data: Choose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears: two recordings, each followed by silence."""
    folder = tmp_path_factory.mktemp("spoken")
    decoder = Decoder(folder / "work", DecodeLimits(SAMPLE_RATE * 3600, 60))
    sound = [np.zeros(SAMPLE_RATE // 2, np.float32)]
    for id in SPOKEN:
        (clip,) = (one for one in made_data(language="en") if one.id == id)
        with decoder.decode(clip.path) as audio:
            sound += [audio.read(0, audio.samples), np.zeros(int(PAUSE_S * SAMPLE_RATE), np.float32)]
    decoder.close()
    with wave.open(str(folder / "spoken.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((np.concatenate(sound) * 32767).astype("<i2").tobytes())
    return folder / "spoken.wav"


@pytest.fixture(scope="module")
def browser(spoken: Path) -> Iterator[Browser]:
    """A browser whose microphone plays the recording once, and then is silent."""
    needs("chromium")
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={spoken}%noloop"]
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield made
        made.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "models").mkdir()
    (folder / "models" / "tiny.en").symlink_to(get_settings().models_dir / "tiny.en")
    settings = Settings(
        data_dir=folder / "data", models_dir=folder / "models", admin_key="k" * 20, device="cpu", threads=1,
    )  # type: ignore[arg-type]  # fmt: skip
    with serve(settings, real=True) as running:
        yield running


def new_key(served: Served) -> str:
    account = served.accounts.create(f"Ada {uuid4()}")
    return served.accounts.create_key(account.id, "a", ["speech", "text", "library"])[1]


@contextmanager
def live(
    browser: Browser, served: Served, key: str = "", width: int = 1280, clock: bool = False, script: str = ""
) -> Iterator[Page]:
    """The Live tab; afterwards no error was logged."""
    context = browser.new_context(viewport={"width": width, "height": 850})
    context.grant_permissions(["microphone", "clipboard-read", "clipboard-write"])
    page = context.new_page()
    if clock:
        page.clock.install()
    if script:
        page.add_init_script(script)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.set_default_timeout(SLOW_MS)
    if key:
        page.goto(f"{served.url}/sign-in")
        page.fill("#key", key)
        page.get_by_role("button", name="Sign in").click()
    else:
        page.goto(served.url)
    page.get_by_role("tab", name="Live", exact=True).click()
    yield page
    context.close()
    assert problems == []


def share(text: str) -> float:
    """How many of the words that were said are in a text."""
    words = {word.strip(".,?!").lower() for word in text.split()}
    said = set(SAID.split())
    return len(said & words) / len(said)


def test_speech_becomes_text_that_is_kept(browser: Browser, served: Served, tmp_path: Path) -> None:
    key = new_key(served)
    with live(browser, served, key) as page:
        page.get_by_label("Keep it in the library").check()
        page.get_by_role("button", name="Start", exact=True).click()
        expect(page.locator("#live-unstable, #live-stable").filter(has_text="leisure")).to_be_visible()
        grey = page.locator("#live-unstable").evaluate(COLOUR), page.locator("#live-stable").evaluate(COLOUR)
        page.screenshot(path=tmp_path / "listening.png")
        said = page.locator(".live-said")
        expect(said.first).to_be_visible()
        page.wait_for_timeout(1000)
        assert said.first.evaluate(COLOUR) == "rgb(0, 0, 0)"
        assert len({*grey, "rgb(0, 0, 0)"}) == 3
        expect(page.locator("#live-finals")).to_contain_text("pound key")
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator("#live-state")).to_have_text("Done.")
        text = "\n".join(said.all_text_contents())
        assert share(text) > 0.8, text
        times = page.locator("#live-finals time").all_text_contents()
        assert times == sorted(times)
        expect(page.locator("#live-kept")).to_contain_text("Kept in the library as transcript")
        page.get_by_role("button", name="Copy", exact=True).click()
        assert page.evaluate("navigator.clipboard.readText()") == text
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as TXT").click()
        assert Path(download.value.path()).read_text("utf-8") == f"{text}\n"
        with page.expect_download() as download:
            page.get_by_role("link", name="SRT").click()
        assert Path(download.value.path()).read_text("utf-8").startswith("1\n00:00:0")
        page.screenshot(path=tmp_path / "done.png")
        page.get_by_role("button", name="Open the Text tab").click()
        expect(page.locator("#text-panel")).to_contain_text("pound key")
    _kept(served, key, text)


def _kept(served: Served, key: str, text: str) -> None:
    """The library has what the page showed, with its sound."""
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {key}"}) as client:
        (one,) = client.get("/api/v1/transcripts/").json()["results"]
        stored = client.get(f"/api/v1/transcripts/{one['id']}/").json()
        assert stored["text"].split() == text.split()
        assert client.get(f"/api/v1/transcripts/{one['id']}/audio/").content[:4] == b"RIFF"


def test_pause_sends_no_sound_and_stop_ends(browser: Browser, served: Served) -> None:
    with live(browser, served, new_key(served), clock=True) as page:
        sent: list[str | bytes] = []
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
        page.locator("#live-start").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#live-partial")).to_contain_text("leisure")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#live-state")).to_have_text("Paused. Nothing is sent.")
        expect(page.locator("#live-finals")).to_contain_text("leisure")  # although no silence follows
        expect(page.locator("#live-partial")).to_be_hidden()
        before = len(sent)
        for _ in range(2):
            page.clock.fast_forward(20_000)
            page.wait_for_timeout(1000)
        assert [json.loads(one) for one in sent[before:]] == [{"action": "keepalive"}] * 2
        page.get_by_role("button", name="Resume").click()
        expect(page.locator("#live-state")).to_have_text("Listening.")
        page.get_by_role("tab", name="Text", exact=True).click()
        page.get_by_role("tab", name="Live", exact=True).click()
        expect(page.locator("#live-finals")).to_contain_text("pound key")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#live-state")).to_have_text("Done.")
        expect(page.locator("#live-kept")).to_be_hidden()
        _leave_while_it_listens(page, served)


def _leave_while_it_listens(page: Page, served: Served) -> None:
    """A second stream on the same page; the text of the first one stays."""
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#live-state")).to_have_text("Listening.")
    page.get_by_text("Earlier text").click()
    expect(page.locator("#live-earlier p")).to_contain_text("pound key")
    admission = served.app.state.installation.runtime.pool.admission
    assert admission.open == 1
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("about:blank")
    until(lambda: admission.open == 0, 20)


def test_anonymous_visitors_are_asked_to_sign_in(browser: Browser, served: Served) -> None:
    with live(browser, served) as page:
        expect(page.locator("#live-controls")).to_contain_text("sign in with your key to turn live speech into text")
        expect(page.locator("#live-start")).to_have_count(0)
        page.locator("#live-controls a").click()
        expect(page.get_by_label("Your key")).to_be_visible()


# What the page makes of messages, whatever the server says


@pytest.fixture
def scripted(browser: Browser, served: Served) -> Iterator[tuple[Page, list[WebSocketRoute]]]:
    """The page, and its connections to a server that the test plays."""
    with live(browser, served, new_key(served), width=390) as page:
        sockets: list[WebSocketRoute] = []

        def connected(socket: WebSocketRoute) -> None:
            sockets.append(socket)
            socket.on_message(lambda message: None)

        page.route_web_socket("**/v1/stream", connected)
        yield page, sockets
        assert page.evaluate(FITS)


def tell(socket: WebSocketRoute, **values: object) -> None:
    socket.send(json.dumps({"text": ""} | values))


def begin(page: Page, sockets: list[WebSocketRoute]) -> WebSocketRoute:
    count = len(sockets)
    page.get_by_role("button", name="Start").click()
    page.wait_for_function("document.getElementById('live-elapsed').textContent !== '0:00'")
    assert len(sockets) == count + 1
    return sockets[-1]


def test_text_is_shown_as_text(scripted: tuple[Page, list[WebSocketRoute]]) -> None:
    page, sockets = scripted
    socket = begin(page, sockets)
    tell(socket, status="loading")
    expect(page.locator("#live-state")).to_have_text("Loading the model. You can speak already …")
    tell(socket, status="ready", warnings=["The model 'x' is not installed."])
    expect(page.locator("#live-state")).to_have_text("Listening. The model 'x' is not installed.")
    tell(socket, partial="🙂🙂 <b>one</b>", stable=2)
    expect(page.locator("#live-stable")).to_have_text("🙂🙂")
    expect(page.locator("#live-unstable")).to_have_text(" <b>one</b>")
    tell(socket, text=NASTY, partial="", start=61.2, end=63.0)
    expect(page.locator(".live-said")).to_have_text(NASTY)
    expect(page.locator("#live-finals time")).to_have_text("1:01")
    expect(page.locator("#live-partial")).to_be_hidden()
    assert page.locator("#live-output img, #live-output b").count() == 0
    tell(socket, status="alive", lag=7.4, rtf=1.2)
    expect(page.locator("#live-lag")).to_have_text("7 s behind")
    tell(socket, status="alive", lag=1.4, rtf=0.9)
    expect(page.locator("#live-lag")).to_be_hidden()


WATCHED = """() => {
    const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => window.heard = await ask(wanted);
}"""
ENDINGS = [  # an error message, a close code, and what the page says
    ("This machine carries no further stream. Try again later.", 1013, "carries no further stream. Try again later."),
    (None, 1006, "Ended: The connection to the server was lost. Press Start to begin a new stream."),
    (None, 1011, "The server closed the connection (1011)."),
]


@pytest.mark.parametrize(("error", "code", "said"), ENDINGS)
def test_what_was_final_stays_when_a_stream_breaks(
    scripted: tuple[Page, list[WebSocketRoute]], error: str | None, code: int, said: str
) -> None:
    page, sockets = scripted
    page.evaluate(WATCHED)
    socket = begin(page, sockets)
    tell(socket, status="ready")
    tell(socket, text="Good morning.", start=0.4, end=1.2)
    expect(page.locator(".live-said")).to_have_text("Good morning.")
    if error:
        tell(socket, error=error, code="busy")
    socket.close(code=code)
    expect(page.locator("#live-state")).to_contain_text(said)
    expect(page.locator(".live-said")).to_have_text("Good morning.")
    expect(page.get_by_role("button", name="Start")).to_be_enabled()
    assert page.evaluate("window.heard.getTracks().map(track => track.readyState)") == ["ended"]


def test_a_refused_configuration_ends_the_stream(scripted: tuple[Page, list[WebSocketRoute]]) -> None:
    page, sockets = scripted
    socket = begin(page, sockets)
    tell(socket, error="stream needs a key.", code="unauthorized")
    expect(page.locator("#live-state")).to_contain_text("stream needs a key.")
    expect(page.locator("#live-state a")).to_have_text("Sign in")


SLOW_CONTEXT = """window.AudioContext = class extends AudioContext {
    constructor(options) { super(options && {sampleRate: 44100}); this.asked = options; }
    createMediaStreamSource(sound) {
        if (this.asked) throw new DOMException("as in Firefox", "NotSupportedError");
        return super.createMediaStreamSource(sound);
    }
}"""


def test_a_browser_that_records_only_at_its_own_rate(browser: Browser, served: Served) -> None:
    with live(browser, served, new_key(served), script=SLOW_CONTEXT) as page:
        sent: list[str | bytes] = []
        page.route_web_socket("**/v1/stream", lambda socket: socket.on_message(lambda message: sent.append(message)))
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#live-elapsed")).to_have_text("0:03")
        page.evaluate("void 0")  # lets messages come in
        assert json.loads(sent[0]) == {"model": "tiny.en", "language": "auto", "store": False}
        assert len(sent) > 20
        assert {len(one) for one in sent[1:]} == {3200}
        assert np.abs(np.frombuffer(b"".join(sent[1:]), "<i2")).max() > 1000  # type: ignore[arg-type]


def test_what_the_server_refuses_is_said(browser: Browser, served: Served) -> None:
    with live(browser, served, new_key(served)) as page:
        page.locator("#live-controls").get_by_label("Language").select_option("German")
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#live-state")).to_contain_text("The model 'tiny.en' recognises English only.")
        expect(page.locator("#live-language")).to_be_enabled()


REFUSED = "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{}')))"


@pytest.mark.parametrize(
    ("problem", "said"), [("NotAllowedError", "Allow it beside the page's address"), ("NotFoundError", "Connect one")]
)
def test_without_a_microphone(browser: Browser, served: Served, problem: str, said: str) -> None:
    with live(browser, served, new_key(served)) as page:
        page.evaluate(REFUSED.format(problem))
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#live-state")).to_contain_text(said)
        expect(page.get_by_role("button", name="Start")).to_be_enabled()


def test_a_page_without_encryption_says_so(browser: Browser, served: Served) -> None:
    none = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"
    with live(browser, served, new_key(served), script=none) as page:
        expect(page.locator("#live-insecure")).to_contain_text("https")
        expect(page.locator("#live-start")).to_be_hidden()


# The worklet

RESAMPLED = """async ([rate, pitch]) => {
    const context = new OfflineAudioContext(1, rate, rate);
    await context.audioWorklet.addModule("live/worklet.js");
    const tone = new OscillatorNode(context, {frequency: pitch}), made = new AudioWorkletNode(context, "stt-recorder");
    const pieces = [];
    made.port.onmessage = ({data}) => pieces.push(...new Int16Array(data.pcm));
    tone.connect(made).connect(context.destination);
    tone.start();
    await context.startRendering();
    await new Promise(done => setTimeout(done, 500));
    return pieces;
}"""


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_sound_of_any_rate_becomes_16_khz(browser: Browser, served: Served, rate: int) -> None:
    with live(browser, served) as page:
        heard = np.array(page.evaluate(RESAMPLED, [rate, 1000])) / 32767
        assert len(heard) in (14_400, 16_000)
        spectrum = np.abs(np.fft.rfft(heard[1600:14_400] * np.hanning(12_800)))
        assert np.argmax(spectrum) * SAMPLE_RATE / 12_800 == pytest.approx(1000, abs=2)
        assert np.sqrt(np.mean(heard[1600:14_400] ** 2)) == pytest.approx(np.sqrt(0.5), rel=0.02)
        assert spectrum[np.abs(np.arange(len(spectrum)) - np.argmax(spectrum)) > 20].max() < spectrum.max() / 1000
        if rate > SAMPLE_RATE:
            too_high = np.array(page.evaluate(RESAMPLED, [rate, 10_000])) / 32767
            assert np.abs(too_high[1600:]).max() < 0.01  # it would be heard as 6 kHz


# The example


def test_the_example_page(browser: Browser, served: Served) -> None:
    page = browser.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    query = urlencode({"url": f"{served.url.replace('http', 'ws')}/v1/stream", "key": new_key(served)})
    page.goto(f"{EXAMPLE.as_uri()}?{query}")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#partial")).not_to_be_empty()
    expect(page.locator("#text")).to_contain_text("pound key")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#state")).to_have_text("Done.")
    assert share(page.locator("#text").text_content() or "") > 0.5
    page.close()
    assert problems == []
