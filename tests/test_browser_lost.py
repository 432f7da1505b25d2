"""Reload, close, two tabs, and a server that ends, in the middle of a job and of typing: nothing is lost or doubled.

Five tries of each, against a server in a process of its own. The moments are drawn with a seed, over a job of some
seconds and over the time from the first key to the saved edit.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from fakes import KEY, tone, until
from playwright.sync_api import BrowserContext, Error
from serving import Server, serving
from workbench import begin, holder_of, patient, saved, sign_in, texts, turn

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TRIES = 5
SENTENCES, SECONDS = 20, 5.0  # of each recording; its job takes as long
TYPED_MS, JOB_MS = 2500, 4000  # from the first key to the saved edit; from a job's beginning to its end
OTHER = 10  # sentences between those of one tab and those of another
ENDS_S = 90.0  # until jobs have ended that a dead server held: its lease, and the work
ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGTERM)
DRAFTS = "Object.keys(localStorage).filter(key => key.startsWith('stt_lab.edits'))"
SHOWN = """(number) => {
    const root = document.querySelector('.stt-workbench').shadowRoot;
    return root.querySelector(`.turn[aria-posinset='${number + 1}'] .text`).textContent;
}"""


class MortalServer:
    """A server that ends and starts again on its port, and an account of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.life = folder, 0, ExitStack()
        self.server = self.start()
        self.port = int(self.server.url.rpartition(":")[2])
        self.holder = holder_of(self.server.url, KEY, "Ada")
        self.url = self.server.url

    def start(self) -> Server:
        self.server = self.life.enter_context(serving(self.folder, port=self.port, STT_LAB_ADMIN_KEY=KEY))
        return self.server

    def end(self, number: int) -> None:
        self.server.end(number)
        self.life.close()

    @property
    def sound(self) -> Path:
        path = self.folder / "sound.wav"
        return path if path.exists() else tone(path, SECONDS)

    def transcript(self) -> int:
        """The number of a new transcript."""
        with self.sound.open("rb") as file:
            data = {"model": "narrator", "diarize": "false"}
            made = self.holder.client.post("/v1/transcribe", files={"file": file}, data=data)
        return int(made.raise_for_status().json()["id"])

    def jobs(self) -> dict[str, dict[str, Any]]:
        """The account's jobs by the names of their files; each name once."""
        found = self.holder.client.get("/v1/jobs", params={"limit": 100}).json()["results"]
        named = [one for one in found if one["filename"] != self.sound.name]
        assert max(Counter(one["filename"] for one in named).values()) == 1
        return {one["filename"]: one for one in named}

    def check_jobs(self, names: list[str]) -> None:
        """Each ends as one transcript, which has all that was said."""
        until(lambda: all(self.jobs()[name]["status"] not in ("queued", "running") for name in names), ENDS_S)
        listed = self.holder.client.get("/api/v1/transcripts/", params={"limit": 100}).json()["results"]
        counts, jobs = Counter(one["title"] for one in listed), self.jobs()
        for name in names:
            assert (jobs[name]["status"], counts[name]) == ("done", 1), jobs[name]
            assert texts(self.holder, jobs[name]["transcript_id"]) == [sentence(n) for n in range(SENTENCES)]


def sentence(number: int, word: str = "sentence") -> str:
    return f"This is {word} {number}."


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MortalServer]:
    made = MortalServer(tmp_path_factory.mktemp("lost"))
    yield made
    made.life.close()
    made.holder.client.close()


@pytest.fixture
def context(browser: Browser, mortal: MortalServer) -> Iterator[BrowserContext]:
    """A browser in which the account is signed in."""
    context = browser.new_context(viewport={"width": 1280, "height": 850})
    sign_in(context.new_page(), mortal.url, mortal.holder.key)
    yield context
    context.close()


@contextmanager
def shown(page: Page, mortal: MortalServer, place: str) -> Iterator[Page]:
    with patient(page):
        page.goto(f"{mortal.url}/#{place}")
        yield page


def go(page: Page, place: str) -> None:
    page.evaluate("place => { location.hash = place; }", place)


def add(page: Page, mortal: MortalServer, name: str) -> str:
    """Add a recording in the Library, and wait until the server has it."""
    go(page, "library")
    page.locator(".add").get_by_label("Model").select_option("narrator")
    page.locator(".add").get_by_label("Number of speakers").select_option("none")
    page.set_input_files(".add-files", {"name": name, "mimeType": "audio/wav", "buffer": mortal.sound.read_bytes()})
    expect(page.locator(".job:not(.sending)", has_text=name)).to_be_visible()
    return name


def write(page: Page, number: int, word: str) -> None:
    """Write in the place of the third word of a sentence, and stay in it."""
    begin(page, number, 2)
    page.keyboard.type(word)


def wait(page: Page, rng: random.Random, most: float) -> None:
    page.wait_for_timeout(rng.uniform(0, most))


def check_text(page: Page, mortal: MortalServer, id: int, words: dict[int, str]) -> None:
    """The server has these words and nothing else that is new, and the browser keeps nothing any more."""
    saved(page)
    wanted = [sentence(n, words.get(n, "sentence")) for n in range(SENTENCES)]
    until(lambda: texts(mortal.holder, id) == wanted, 20)
    until(lambda: page.evaluate(DRAFTS) == [], 20)


def test_reload(context: BrowserContext, mortal: MortalServer) -> None:
    rng, id, names, words = random.Random(1), mortal.transcript(), [], {}
    with shown(context.pages[0], mortal, "library") as page:
        for number in range(TRIES):
            names.append(add(page, mortal, f"reload {number}.wav"))
            wait(page, rng, JOB_MS - TYPED_MS)
            go(page, f"transcript/{id}")
            words[2 * number] = f"reloaded{number}"
            write(page, 2 * number, words[2 * number])
            wait(page, rng, TYPED_MS)
            page.reload()
            expect(turn(page, 2 * number).locator(".text")).to_have_text(sentence(2 * number, words[2 * number]))
        check_text(page, mortal, id, words)
    mortal.check_jobs(names)


def test_close(context: BrowserContext, mortal: MortalServer) -> None:
    rng, id, names, words = random.Random(2), mortal.transcript(), [], {}
    for number in range(TRIES):
        with shown(context.pages[0], mortal, "library") as page:
            names.append(add(page, mortal, f"close {number}.wav"))
            wait(page, rng, JOB_MS - TYPED_MS)
            go(page, f"transcript/{id}")
            write(page, 2 * number, f"closed{number}")
            wait(page, rng, TYPED_MS)
            text = page.evaluate(SHOWN, 2 * number)
            context.new_page()
            page.close()
        with shown(context.pages[0], mortal, f"transcript/{id}") as page:
            expect(turn(page, 2 * number).locator(".text")).to_have_text(text)
            words[2 * number] = f"closed{number}"
    with shown(context.pages[0], mortal, f"transcript/{id}") as page:
        check_text(page, mortal, id, words)
    mortal.check_jobs(names)


def test_two_tabs(context: BrowserContext, mortal: MortalServer) -> None:
    rng, id, names = random.Random(3), mortal.transcript(), []
    words: dict[int, str] = {}
    reported: list[str | None] = []
    with (
        shown(context.pages[0], mortal, f"transcript/{id}") as one,
        shown(context.new_page(), mortal, f"transcript/{id}") as two,
    ):
        for number in range(TRIES):
            names.append(add(one, mortal, f"tabs {number}.wav"))
            go(one, f"transcript/{id}")
            mine = 2 * number
            theirs = mine if number % 2 else mine + OTHER
            write(one, mine, f"one{number}")
            wait(one, rng, TYPED_MS)
            write(two, theirs, f"two{number}")
            wait(two, rng, TYPED_MS)
            written = [(one, mine, f"one{number}"), (two, theirs, f"two{number}")]
            rng.shuffle(written)
            for page, at, word in written:
                said = leave(page)
                reported.append(said)
                kept = texts(mortal.holder, id)[at]
                if said:  # both changed it: the other one's stays, and this one can be copied
                    assert said == sentence(at, word)
                    assert kept in [sentence(at, other) for _, place, other in written if place == at and other != word]
                else:
                    assert kept == sentence(at, word)
                    words[at] = word
        for page in (one, two):
            page.reload()
            check_text(page, mortal, id, words)
    conflicts = [said for said in reported if said is not None]
    assert len(conflicts) >= TRIES
    assert len([said for said in conflicts if said]) == TRIES // 2
    mortal.check_jobs(names)


def leave(page: Page) -> str | None:
    """Leave the text. If another tab was quicker the page says so: returns what both changed, "" for nothing."""
    dialog = page.get_by_role("dialog", name="Two versions")
    dismissed = page.get_by_role("button", name="Decide")
    if not dialog.is_visible():
        page.keyboard.press("Escape")
    expect(dialog.or_(page.locator(".saved.saved:text-is('Saved')")).or_(dismissed).first).to_be_visible()
    if dismissed.is_visible():  # the key met the dialog
        dismissed.click()
        expect(dialog).to_be_visible()
    if not dialog.is_visible():
        return None
    expect(dialog).to_contain_text("Ada changed this transcript")
    both = dialog.get_by_label("Your text")
    said = both.input_value() if both.count() else ""
    dialog.get_by_role("button", name="Apply mine again").click()
    saved(page)
    return said


@pytest.mark.timeout(400)
def test_the_server_ends(context: BrowserContext, mortal: MortalServer) -> None:
    rng, id, names, words = random.Random(4), mortal.transcript(), [], {}
    with shown(context.pages[0], mortal, f"transcript/{id}") as page:
        for number, ends in enumerate(ENDS):
            names.append(add(page, mortal, f"end {number}.wav"))
            wait(page, rng, JOB_MS - TYPED_MS)
            go(page, f"transcript/{id}")
            before, after = 2 * number, 2 * number + OTHER
            words |= {before: f"before{number}", after: f"after{number}"}
            write(page, before, words[before])
            wait(page, rng, TYPED_MS)
            mortal.end(ends)
            with ThreadPoolExecutor() as pool:
                starts = pool.submit(mortal.start)  # which takes seconds, in which nobody answers
                write(page, after, words[after])
                wait(page, rng, TYPED_MS)
                if number % 2:
                    with suppress(Error):
                        page.reload()
                starts.result()
            if number % 2:
                page.goto(f"{mortal.url}/#transcript/{id}")
            for at in (before, after):
                expect(turn(page, at).locator(".text")).to_have_text(sentence(at, words[at]))
            if not number % 2:
                page.keyboard.press("Escape")
            saved(page)
        check_text(page, mortal, id, words)
    mortal.check_jobs(names)
