"""The Voice tab in a real browser: clean and compare, speak, cancel, and what visitors without a key see."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from toy_server import KEY, Served, Toy, serve, settings_for, until

pytestmark = pytest.mark.browser

SLOW_MS = 120_000  # for what the noise filter does on a busy machine
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
SPY = """const make = AudioContext.prototype.createGain; window.gains = [];
AudioContext.prototype.createGain = function () { const node = make.call(this); gains.push(node); return node; };"""
RATE = 16_000


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    expect.set_options(timeout=SLOW_MS)
    yield
    expect.set_options(timeout=5_000)  # playwright's own
    Toy.seconds = 0.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("voice"))) as running:
        yield running


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A buzz with pauses, quiet, in noise."""
    t = np.arange(4 * RATE) / RATE
    buzz = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20)) * (np.sin(2 * np.pi * 0.8 * t) > 0)
    sound = 0.02 * buzz + np.random.default_rng(1).normal(0, 0.005, len(t))
    path = tmp_path_factory.mktemp("talk") / "Weekly 'talk'.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


@contextmanager
def visit(browser: Browser, served: Served, key: str = KEY, width: int = 1440) -> Iterator[Page]:
    """The Voice tab; afterwards no error was logged."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.append(f"{said.text} {said.location}") if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(f"{error} {error.stack}"))
    page.add_init_script(SPY)
    page.set_default_timeout(SLOW_MS)
    if key:
        page.goto(f"{served.url}/sign-in")
        page.fill("#key", key)
        page.get_by_role("button", name="Sign in").click()
    else:
        page.goto(served.url)
    page.wait_for_selector("#stt-go")
    page.get_by_role("tab", name="Voice", exact=True).click()
    yield page
    context.close()
    assert [one for one in problems if "/assets/" not in one] == []  # Gradio's own, when its page is left


def choose(page: Page, part: str, path: Path) -> None:
    page.set_input_files(f"#voice-file-{part} input[type=file]", str(path))
    expect(page.locator(f"#voice-file-{part}")).to_contain_text(".wav")


def test_visitors_without_a_key_see_why_there_are_no_controls(browser: Browser, served: Served) -> None:
    with visit(browser, served, key="") as page:
        expect(page.locator("#voice-gate [role=status]")).to_contain_text("sign in")
        expect(page.locator("#voice-go-enhance")).to_have_count(0)
        page.click("#voice-gate a")
        page.wait_for_url("**/sign-in")
    account = served.accounts.create("reader").id
    with visit(browser, served, served.accounts.create_key(account, "k", ["library"])[1]) as page:
        expect(page.locator("#voice-gate .error")).to_contain_text("scope 'speech'")
        expect(page.locator("#voice-go-enhance")).to_have_count(0)


@pytest.mark.truth
@pytest.mark.parametrize("width", [1440, 390])
def test_a_cleaner_recording_beside_the_original(browser: Browser, served: Served, talk: Path, width: int) -> None:
    with visit(browser, served, width=width) as page:
        choose(page, "enhance", talk)
        page.click("#voice-go-enhance")
        sounds = page.locator(".voice-sound")
        expect(sounds).to_have_count(2)
        for number, name in enumerate(("Original", "Enhanced")):
            expect(sounds.nth(number).locator("h3")).to_have_text(name)
            assert sounds.nth(number).locator("img").evaluate("image => image.naturalWidth") == 480
            page.wait_for_function(f"document.querySelectorAll('.voice-sound audio')[{number}].duration === 4")
        assert page.evaluate(FITS)
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        assert download.value.suggested_filename == "Weekly_talk_-enhanced.wav"
        with wave.open(str(download.value.path())) as file:
            assert (file.getframerate(), file.getnframes()) == (RATE, 4 * RATE)


@pytest.mark.truth
def test_both_are_played_equally_loud_from_the_same_place(browser: Browser, served: Served, talk: Path) -> None:
    playing = "[...document.querySelectorAll('.voice-sound audio')].map((media) => !media.paused)"
    levels = "gains.map((node) => node.gain.value)"
    with visit(browser, served) as page:
        choose(page, "enhance", talk)
        page.click("#voice-go-enhance")
        picture = page.locator(".voice-sound .voice-picture").first
        expect(picture).to_be_visible()
        wanted = page.evaluate(
            "[...document.querySelectorAll('.voice-sound')].map((one) => 10 ** (one.dataset.gain / 20))"
        )
        assert wanted[0] > 1.5 > 1.0 >= wanted[1]
        box = picture.bounding_box()
        assert box
        picture.click(position={"x": box["width"] / 2, "y": 20})
        page.wait_for_function(f"{playing}[0]")
        assert page.evaluate("document.querySelector('.voice-sound audio').currentTime") >= 1.9
        assert page.evaluate(levels)[0] == pytest.approx(wanted[0], rel=1e-3)
        page.click("[data-other]")
        page.wait_for_function(f"!{playing}[0] && {playing}[1]")
        assert page.evaluate("document.querySelectorAll('.voice-sound audio')[1].currentTime") >= 1.9
        page.uncheck("[data-equal]")
        assert set(page.evaluate(levels)) == {1}
        page.check("[data-equal]")
        assert page.evaluate(levels)[0] == pytest.approx(wanted[0], rel=1e-3)


@pytest.mark.parametrize("width", [1440, 390])
def test_speech_and_refused_references(
    browser: Browser, served: Served, talk: Path, tmp_path: Path, width: int
) -> None:
    with wave.open(str(tmp_path / "short.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * RATE))
    with visit(browser, served, width=width) as page:
        page.get_by_role("tab", name="Speak").click()
        choose(page, "speak", tmp_path / "short.wav")
        page.fill("#voice-text textarea", "Good morning. Hello.")
        page.click("#voice-go-speak")
        expect(page.locator("#voice-status-speak [role=alert]")).to_contain_text("too short (1.0 s). Send 3 to 10 s")
        page.click("#voice-file-speak [aria-label*='Clear' i], #voice-file-speak [title*='Clear' i]")
        choose(page, "speak", talk)
        page.check("#voice-consent input")
        page.click("#voice-go-speak")
        expect(page.locator("#voice-result-speak .stt-facts")).to_contain_text("similarity 0.625")
        expect(page.locator("#voice-status-speak [role=alert]")).to_have_count(0)
        page.wait_for_function("document.querySelector('.voice-sound audio').duration > 2")
        assert page.evaluate(FITS)
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        assert b"Synthetic speech" in Path(download.value.path()).read_bytes()[:1000]


def test_cancel_stops_the_speech_and_the_page_goes_on(browser: Browser, served: Served, talk: Path) -> None:
    with visit(browser, served) as page:
        page.get_by_role("tab", name="Speak").click()
        choose(page, "speak", talk)
        page.fill("#voice-text textarea", "Good morning.")
        Toy.seconds, Toy.stopped = 30.0, 0
        page.click("#voice-go-speak")
        expect(page.locator("#voice-status-speak .stt-now")).to_contain_text("Speaking")
        page.click("#voice-cancel-speak")
        until(lambda: Toy.stopped, 10)
        expect(page.locator("#voice-status-speak")).to_have_text("Cancelled.")
        Toy.seconds = 0.0
        page.click("#voice-go-speak")
        expect(page.locator("#voice-result-speak audio")).to_have_count(1)


def test_the_microphone_is_a_reference(browser: Browser, served: Served) -> None:
    with visit(browser, served) as page:
        page.get_by_role("tab", name="Speak").click()
        page.get_by_role("tab", name="Microphone").locator("visible=true").click()
        page.get_by_role("button", name="Record", exact=True).locator("visible=true").click()
        page.wait_for_timeout(4000)
        page.get_by_role("button", name="Stop", exact=True).locator("visible=true").click()
        expect(page.locator("#voice-spoken-speak").get_by_role("button", name="Play", exact=True)).to_be_visible()
        page.fill("#voice-text textarea", "Good morning.")
        page.click("#voice-go-speak")
        expect(page.locator("#voice-result-speak audio, #voice-status-speak [role=alert]")).to_have_count(1)
