"""The page in a real browser: what a person does with it, and what it must not do behind the person's back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from toy_server import KEY, Served, Toy, serve, settings_for, until, wav

from stt_lab.caller import ADMINISTRATOR_ID

pytestmark = pytest.mark.browser

NASTY = "<img src=x onerror=alert(1)> ${document.title='pwned'} {{value}}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(settings_for(tmp_path_factory.mktemp("browser"))) as running:
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The open page; afterwards: no error was logged, nothing left this machine, no upload stayed."""
    context = browser.new_context(viewport={"width": 1280, "height": 850})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if not _local(request.url, served) else None)
    page.goto(served.url)
    page.wait_for_selector("#stt-go")
    yield page
    context.close()
    assert problems == []
    until(lambda: served.uploads == [], 10)


def _local(url: str, served: Served) -> bool:
    return url.startswith((served.url, "data:", "blob:"))


def choose(page: Page, path: Path) -> None:
    page.set_input_files("#stt-file input[type=file]", str(path))
    expect(page.locator("#stt-file")).to_contain_text(path.stem)


def test_a_dropped_file_becomes_a_transcript_that_plays(page: Page, tmp_path: Path) -> None:
    choose(page, wav(tmp_path / "Weekly talk.wav", 4))
    page.click("#stt-go")
    expect(page.locator(".stt-segment")).to_have_count(2)
    expect(page.locator(".stt-who").first).to_have_text("Speaker 1")
    page.click(".stt-segment:nth-child(2) .stt-time")
    page.wait_for_function("document.querySelector('.stt-player audio').currentTime >= 2")
    expect(page.locator(".stt-said")).to_have_text("Hello")
    page.locator(".stt-lane svg").first.click(position={"x": 2, "y": 5})
    page.wait_for_function("document.querySelector('.stt-player audio').currentTime < 2")


def test_downloads_come_from_the_page_itself(page: Page, tmp_path: Path) -> None:
    choose(page, wav(tmp_path / "talk.wav"))
    page.click("#stt-go")
    for form, begins in {"txt": "Speaker 1: Good", "srt": "1\n00:00:00,000 -->", "vtt": "WEBVTT", "json": "{"}.items():
        with page.expect_download() as download:
            page.click(f"[data-save$='.{form}']")
        assert download.value.suggested_filename == f"talk.{form}"
        assert Path(download.value.path()).read_text("utf-8").startswith(begins)


def test_cancel_stops_the_work_and_the_page_goes_on(page: Page, tmp_path: Path) -> None:
    Toy.seconds, Toy.stopped = 30.0, 0
    choose(page, wav(tmp_path / "talk.wav"))
    page.click("#stt-go")
    expect(page.locator(".stt-now")).to_contain_text("Transcribing")
    page.click("#stt-cancel")
    assert until(lambda: Toy.stopped) < 2
    expect(page.locator(".stt-notice")).to_have_text("Cancelled.")
    expect(page.locator(".stt-notice")).to_be_visible()
    Toy.seconds = 0.0
    page.click("#stt-go")
    expect(page.locator(".stt-segment")).to_have_count(2)


def test_a_page_that_is_loaded_again_follows_its_job(browser: Browser, served: Served, tmp_path: Path) -> None:
    context = browser.new_context()  # without the page's look at its log, where Gradio tells of requests cut off
    page = context.new_page()
    page.goto(served.url)
    Toy.seconds, Toy.stopped = 30.0, 0
    choose(page, wav(tmp_path / "talk.wav"))
    page.click("#stt-go")
    expect(page.locator(".stt-now")).to_contain_text("Transcribing")
    expect(page.locator(".stt-so-far")).to_have_text("Good")
    page.reload()
    expect(page.locator(".stt-now")).to_contain_text("Transcribing")
    expect(page.locator("#stt-go")).to_be_disabled()
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator(".stt-empty")).to_be_visible()  # each tab has its own
    other.close()
    page.click("#stt-cancel")
    expect(page.locator(".stt-notice")).to_have_text("Cancelled.")
    assert Toy.stopped == 1
    Toy.seconds = 1.0
    choose(page, wav(tmp_path / "other.wav"))
    page.click("#stt-go")
    expect(page.locator(".stt-now")).to_contain_text("Transcribing")
    page.reload()
    expect(page.locator(".stt-segment")).to_have_count(2, timeout=10_000)
    expect(page.locator(".stt-result")).to_contain_text("not kept without a key")
    Toy.seconds = 0.0
    context.close()


def test_a_job_goes_on_without_its_page(browser: Browser, served: Served, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.access.sign_in_address(served.url))
    Toy.seconds, Toy.stopped = 1.0, 0
    choose(page, wav(tmp_path / "talk.wav", 4))
    page.click("#stt-go")
    expect(page.locator(".stt-now")).to_contain_text("Transcribing")
    page.goto("about:blank")
    Toy.seconds = 0.0
    page.go_back()
    expect(page.locator(".stt-segment")).to_have_count(2, timeout=10_000)
    page.click(".stt-segment:nth-child(2) .stt-time")  # played from the library
    page.wait_for_function("document.querySelector('.stt-player audio').currentTime >= 2")
    page.click(".stt-open")
    page.wait_for_url("**/#transcript/*")
    context.close()


def test_the_example_becomes_a_transcript(page: Page) -> None:
    page.click("[data-example]")
    expect(page.locator("#stt-file")).to_contain_text("example")
    page.click("#stt-go")
    expect(page.locator(".stt-segment")).to_have_count(2)


def test_a_transcript_is_text_and_never_a_program(page: Page, tmp_path: Path) -> None:
    Toy.lines = (NASTY,)
    choose(page, wav(tmp_path / "a'b&c.wav"))
    page.click("#stt-go")
    expect(page.locator(".stt-segment p")).to_have_text(NASTY)
    assert page.title() == "stt_lab"
    assert page.locator(".stt-result img").count() == 0
    Toy.lines = ("Good morning.", "Hello there, friend.")


def test_silence_and_bad_files_are_said_in_words(page: Page, tmp_path: Path) -> None:
    Toy.lines = ()
    choose(page, wav(tmp_path / "quiet.wav"))
    page.click("#stt-go")
    expect(page.locator(".stt-result")).to_contain_text("contains no speech")
    Toy.lines = ("Good morning.", "Hello there, friend.")
    (tmp_path / "words.mp3").write_bytes(b"these are words" * 50)
    page.click("#stt-file [aria-label*='Clear' i], #stt-file [title*='Clear' i]")
    choose(page, tmp_path / "words.mp3")
    page.click("#stt-go")
    expect(page.locator(".stt-notice.error")).to_be_visible()
    expect(page.locator("#stt-go")).to_be_enabled()


def test_the_microphone_is_a_source(page: Page, served: Served) -> None:
    page.get_by_role("tab", name="Microphone").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1200)
    page.get_by_role("button", name="Stop", exact=True).click()
    until(lambda: served.uploads)
    expect(page.locator("#stt-spoken").get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.click("#stt-go")
    expect(page.locator(".stt-segment")).to_have_count(2)


def test_the_administrator_sees_the_models(page: Page, browser: Browser, served: Served) -> None:
    expect(page.locator(".stt-badge")).to_have_count(0)
    mine = browser.new_context().new_page()
    mine.goto(served.access.sign_in_address(served.url))
    expect(mine.locator(".stt-badge")).to_have_text("Signed in as administrator")
    mine.click(".stt-badge")
    expect(mine.locator("tr", has_text="base").first).to_contain_text("installed, default")
    mine.context.close()


def test_signing_in_calling_the_api_and_signing_out(browser: Browser, served: Served) -> None:
    """The page calls the API with its session; a page of another port of this machine, to which the cookie goes too,
    cannot."""
    context = browser.new_context()
    mine = context.new_page()
    mine.goto(f"{served.url}/sign-in")
    mine.fill("#key", KEY)
    mine.get_by_role("button", name="Sign in").click()
    expect(mine.locator(".stt-badge")).to_have_text("Signed in as administrator")
    assert mine.evaluate("fetch('/api/v1/account/').then(answer => answer.json())")["name"] == "administrator"
    status = "fetch('/v1/embed', {method: 'POST', body: '{\"texts\": [\"a\"]}'}).then(answer => answer.status)"
    assert mine.evaluate(status) == 200
    with elsewhere() as address:
        other = context.new_page()
        statuses: list[int] = []
        other.on(
            "response", lambda answer: statuses.append(answer.status) if answer.url.startswith(served.url) else None
        )
        other.goto(address)
        for how in ("'GET'", "'POST', body: '{\"name\": \"of a stranger\"}'"):
            other.evaluate(
                f"fetch('{served.url}/api/v1/keys/', {{mode: 'no-cors', credentials: 'include', method: {how}}})"
            )
        until(lambda: len(statuses) == 2)
        assert statuses == [403, 403]
        other.evaluate(f"document.body.innerHTML = '<a href=\"{served.url}/\">here</a>'")
        other.click("a")  # a link is no attack
        expect(other.locator(".stt-badge")).to_have_text("Signed in as administrator")
    assert served.accounts.keys(ADMINISTRATOR_ID) == ()
    mine.goto(f"{served.url}/sign-in")
    mine.get_by_role("link", name="sign out").click()
    with mine.expect_navigation(url=f"{served.url}/"):
        mine.get_by_role("button", name="Sign out").click()
    mine.wait_for_selector("#stt-go")
    assert mine.evaluate("fetch('/api/v1/account/').then(answer => answer.status)") == 401
    context.close()


@contextmanager
def elsewhere() -> Iterator[str]:
    """The address of another server of this machine."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html><body></body>")

        def log_message(self, *unused: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_the_footer_explains_the_clients(browser: Browser, served: Served) -> None:
    page = browser.new_page()
    page.goto(served.url)
    page.click("[data-clients]")
    expect(page.get_by_text("/transcribe", exact=False).first).to_be_visible()
    expect(page.get_by_text("pip install gradio_client")).to_be_visible()
    page.close()


@pytest.mark.parametrize("width", [360, 820, 1920])
def test_the_page_fits(page: Page, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    choose(page, wav(tmp_path / "talk.wav"))
    page.click("#stt-go")
    expect(page.locator(".stt-segment")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
