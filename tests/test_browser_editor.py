"""A transcript in the Library tab, in a real browser: hear, correct, undo, and never lose what was typed."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from playwright.sync_api import Route
from toy_server import until, wav
from workbench import (  # noqa: F401
    CODE,
    FITS,
    LINES,
    PLANT,
    PLANTED,
    Account,
    account_fixture,
    begin,
    id_fixture,
    menu,
    saved,
    served_fixture,
    texts,
    turn,
    visit,
)  # fmt: skip

pytestmark = pytest.mark.browser

WORDS, SEGMENTS = 18_000, 1_800


# To hear


def test_click_a_word_to_hear_it(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        turn(page, 2).locator(".word").nth(1).click()
        expect(page.locator(".word.said")).to_have_text("meet")
        start = account.stored(id)["segments"][2]["words"][1]["start"]
        now = "document.querySelector('.stt-workbench').shadowRoot.querySelector('video').currentTime"
        page.wait_for_function(f"{now} > {start + 0.5}")
        page.keyboard.press("Space")
        expect(page.locator(".word.said")).to_have_count(1)
        expect(page.locator(".word.said")).not_to_have_text("meet")
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
        page.keyboard.press("]")
        expect(page.get_by_label("Speed")).to_have_value("1.25")
        page.keyboard.press("f")
        expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "false")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Play or pause")
        page.keyboard.press("Escape")
        page.get_by_role("slider", name="Place in the recording").fill("11")
        expect(page.locator(".word.said")).to_have_text("ask")
        page.goto(f"{account.served.url}/#transcript/{id}?t=4.1")
        expect(turn(page, 2)).to_have_class(re.compile("current"))


def test_downloads(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        page.get_by_role("button", name="Download").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name="Subtitles, SRT").click()
        assert "Good morning, everybody." in Path(download.value.path()).read_text("utf-8")


def test_a_phone(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}", 390) as page:
        expect(turn(page, 0)).to_be_visible()
        assert page.evaluate(FITS)
        player, rows = page.locator(".player").bounding_box(), page.locator(".rows").bounding_box()
        assert player
        assert rows
        assert rows["y"] + rows["height"] <= player["y"]  # it covers nothing
        assert player["y"] + player["height"] <= 850
        page.get_by_label("To the library").click()
        expect(page.locator("tr.row").first).to_be_visible()


# To correct


def test_words_that_stay_keep_their_times(browser: Browser, account: Account, id: int) -> None:
    before = account.stored(id)["segments"][1]["words"]
    with visit(browser, account, f"transcript/{id}") as page:
        begin(page, 1, 1)
        page.keyboard.type("budget plan")
        page.keyboard.press("Escape")
        saved(page)
        segment = account.stored(id)["segments"][1]
        assert segment["text"] == "The budget plan is open today."
        after = {word["word"]: (word["start"], word["end"]) for word in segment["words"]}
        for word in (before[0], *before[2:]):
            assert after[word["word"]] == (word["start"], word["end"])
        assert (after["budget"][0], after["plan"][1]) == (before[1]["start"], before[1]["end"])
        page.keyboard.press("Control+z")
        saved(page)
        undone = account.stored(id)["segments"][1]
        assert undone["text"] == LINES[1]
        assert [(one["word"], one["start"], one["end"]) for one in undone["words"]] == [
            (one["word"], one["start"], one["end"]) for one in before
        ]
        page.keyboard.press("Control+Shift+Z")
        saved(page)
        assert texts(account, id)[1] == "The budget plan is open today."


def test_split_merge_and_delete(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        begin(page, 2, 2)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        expect(turn(page, 3).locator(".text")).to_be_focused()
        page.keyboard.press("Escape")
        saved(page)
        assert texts(account, id)[2:4] == ["We meet", "again at noon."]
        turn(page, 3).locator(".text").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Home")
        page.keyboard.press("Backspace")
        expect(turn(page, 2).locator(".text")).to_have_text("We meet again at noon.")
        page.keyboard.type("!")
        page.keyboard.press("Escape")
        saved(page)
        assert texts(account, id)[2] == "We meet! again at noon."
        menu(page, 4, "Delete")
        menu(page, 3, "Merge with the next")
        saved(page)
        assert texts(account, id)[3:] == ["Who pays for it? Let us ask the bored."]
        for _ in range(5):
            page.get_by_role("button", name="Undo").click()
        saved(page)
        stored = account.stored(id)
        assert [one["text"] for one in stored["segments"]] == list(LINES)
        assert [one["speaker"] for one in stored["segments"]] == ["Speaker 1"] * 3 + ["Speaker 2"] * 3
        starts = [word["start"] for one in stored["segments"] for word in one["words"]]
        assert starts == sorted(starts)


def test_speakers(browser: Browser, account: Account, id: int) -> None:
    def speakers() -> list[str]:
        saved(page)
        return [one["speaker"] for one in account.stored(id)["segments"]]

    with visit(browser, account, f"transcript/{id}") as page:
        menu(page, 1, "Speaker 2")
        assert speakers() == ["Speaker 1", "Speaker 2", "Speaker 1", *["Speaker 2"] * 3]
        turn(page, 0).locator(".who").click()
        page.get_by_role("menuitem", name="Rename …").click()
        page.get_by_role("textbox", name="Name").fill(PLANT)
        page.get_by_role("button", name="Save").click()
        expect(turn(page, 0).locator(".who")).to_have_text(PLANT.replace("\u202e\u2066", ""))  # as names are
        named = speakers()[0]
        assert named.startswith("<img")
        assert page.evaluate(PLANTED) == 0
        menu(page, 3, f"Merge into {named}")
        assert speakers() == [named] * 6
        page.get_by_role("button", name="Undo").click()
        assert speakers() == [named, "Speaker 2", named, *["Speaker 2"] * 3]
        words = turn(page, 4).locator(".word")
        words.nth(1).evaluate("""node => {
            const range = document.createRange(), selection = getSelection();
            range.selectNodeContents(node);
            selection.removeAllRanges();
            selection.setBaseAndExtent(node.firstChild, 0, node.firstChild, node.textContent.length);
        }""")
        menu(page, 4, "New speaker …")
        page.get_by_role("textbox", name="Name").fill("Zoe")
        page.get_by_role("button", name="Save").click()
        expect(turn(page, 5).locator(".text")).to_have_text("knows")
        saved(page)
        assert [(one["speaker"], one["text"]) for one in account.stored(id)["segments"]][4:7] == [
            ("Speaker 2", "Nobody"), ("Zoe", "knows"), ("Speaker 2", "that yet."),
        ]  # fmt: skip


def test_find_and_replace(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        expect(turn(page, 0)).to_be_visible()
        page.keyboard.press("/")
        page.get_by_label("Find", exact=True).fill("e")
        page.get_by_label("Find", exact=True).fill("$THE")
        expect(page.locator(".bar")).to_contain_text("Nothing found")
        page.get_by_label("Find", exact=True).fill("the b")
        expect(page.locator(".bar")).to_contain_text("2 places")
        page.get_by_label("Replace with").fill("our $& b")
        page.get_by_role("button", name="Replace all").click()
        saved(page)
        assert texts(account, id)[1] == "our $& budjet is open today."
        assert texts(account, id)[5] == "Let us ask our $& bored."
        page.locator(".toast").get_by_role("button", name="Undo").click()
        saved(page)
        assert texts(account, id) == list(LINES)


def test_uncertain_words(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        expect(page.get_by_role("button", name="Review 6")).to_be_visible()  # the toy doubts each first word
        page.keyboard.press("n")
        expect(page.locator(".bar strong")).to_have_text("Good")
        expect(page.locator(".word.pointed")).to_have_text("Good")
        page.keyboard.press("a")
        expect(page.locator(".bar strong")).to_have_text("The")
        page.get_by_role("button", name="Correct").click()
        page.keyboard.type("This")
        page.keyboard.press("Escape")
        saved(page)
        expect(page.get_by_role("button", name="Review 4")).to_be_visible()
        segments = account.stored(id)["segments"]
        assert segments[1]["text"].startswith("This budjet")
        assert segments[0]["words"][0].get("corrected")
        page.reload()
        expect(page.get_by_role("button", name="Review 4")).to_be_visible()


def test_versions(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        begin(page, 1, 1)
        page.keyboard.type("budget")
        page.keyboard.press("Escape")
        saved(page)
        page.get_by_role("button", name="Versions").click()
        expect(page.locator(".versions li")).to_have_count(2)
        expect(page.locator(".versions li").first).to_contain_text("Ada")
        page.get_by_role("button", name="Compare with now").click()
        expect(page.locator(".compared del")).to_have_text("budjet")
        expect(page.locator(".compared ins")).to_have_text("budget")
        page.get_by_role("button", name="Restore").click()
        expect(turn(page, 1).locator(".text")).to_have_text(LINES[1])
        saved(page)
        assert texts(account, id) == list(LINES)


def test_a_title(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        page.locator(".named").hover()
        page.get_by_role("button", name="Rename").click()
        page.get_by_role("textbox", name="Title").fill(PLANT)
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".named h2")).to_have_text(PLANT)
        saved(page)
        begin(page, 0)
        page.keyboard.type("<b>Bad</b>")
        page.keyboard.press("Escape")
        saved(page)
        assert account.stored(id)["title"].startswith("<img")
        assert texts(account, id)[0].startswith("<b>Bad</b>")
        assert page.evaluate(PLANTED) == 0
        expect(turn(page, 0).locator(".word").first).to_have_text("<b>Bad</b>")


# To lose nothing


def refuse(route: Route) -> None:
    route.abort() if route.request.method == "PATCH" else route.continue_()


def test_edits_wait_for_a_server_that_is_away(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        page.route("**/api/v1/transcripts/*/", refuse)
        begin(page, 1, 1)
        page.keyboard.type("budget")
        page.keyboard.press("Escape")
        expect(page.locator(".saved")).to_have_text("Offline: kept in this browser")
        assert texts(account, id) == list(LINES)
        page.reload()
        expect(turn(page, 1).locator(".text")).to_have_text("The budget is open today.")
        page.unroute("**/api/v1/transcripts/*/")
        page.reload()
        saved(page)
        until(lambda: texts(account, id)[1] == "The budget is open today.")


def test_a_reload_while_somebody_types(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        for number in range(6):
            begin(page, number, 1)
            page.keyboard.type(f"new{number}")
            page.wait_for_timeout(300 * number)
            page.reload()
            expect(turn(page, number).locator(".text")).to_contain_text(f"new{number}")
        saved(page)
        until(lambda: all(f"new{number}" in text for number, text in enumerate(texts(account, id))))


def test_two_editors(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        begin(page, 1, 1)
        stored = account.stored(id)
        edits = [{"op": "replace", "segment": 3, "from": 0, "to": 1, "text": "What"}]
        answer = account.client.patch(
            f"/api/v1/transcripts/{id}/", json={"revision": stored["revision"], "edits": edits}
        )
        assert answer.status_code == 200
        page.keyboard.type("budget")
        page.keyboard.press("Escape")
        dialog = page.get_by_role("dialog", name="Two versions")
        expect(dialog).to_contain_text(re.compile("Ada .* changed this transcript"))
        assert texts(account, id)[1] == LINES[1]
        page.get_by_role("button", name="Apply mine again").click()
        saved(page)
        assert texts(account, id)[1::2] == ["The budget is open today.", "What pays for it?", LINES[5]]
        begin(page, 3, 1)
        edits = [{"op": "replace", "segment": 3, "from": 0, "to": 1, "text": "Which"}]
        account.client.patch(
            f"/api/v1/transcripts/{id}/", json={"revision": account.stored(id)["revision"], "edits": edits}
        )
        page.keyboard.type("buys")
        page.keyboard.press("Escape")
        expect(dialog.get_by_label("Your text")).to_have_value("What buys for it?")
        page.get_by_role("button", name="Drop my edits").click()
        saved(page)
        expect(turn(page, 3).locator(".text")).to_have_text("Which pays for it?")


def test_an_answer_that_is_lost_is_no_conflict(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        lost: list[int] = []

        def lose(route: Route) -> None:
            if route.request.method != "PATCH" or lost:
                return route.continue_()
            lost.append(route.fetch().status)
            route.abort()

        page.route("**/api/v1/transcripts/*/", lose)
        begin(page, 1, 1)
        page.keyboard.type("budget")
        page.keyboard.press("Escape")
        saved(page)
        assert lost == [200]
        assert account.stored(id)["revision"] == 2
        assert page.get_by_role("dialog").count() == 0


# Edits as values, at random, and a long transcript


RANDOM = """async ({apply, difference, same, rewritten, pieces, tokens}, rounds) => {
    let seed = 7, checked = 0;
    const random = (n) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
    const choice = ["hello,", "World", "“quoted", "its", "end.", "twenty-one", "a", "今日"];
    const made = (start) => {
        const text = Array.from({length: 1 + random(8)}, () => choice[random(7)]);
        const bare = (one) => one.replace(/^[^\\p{L}]+|[^\\p{L}]+$/gu, ""), time = (at) => start + at * 0.3;
        const words = text.map((one, at) => ({word: bare(one), start: time(at), end: time(at) + 0.25}));
        return {text: text.join(" "), words, start, end: words.at(-1).end, speaker: `S${random(3)}`};
    };
    const check = (segments) => {
        let last = 0;
        for (const one of segments) {
            const parts = pieces(one);
            if (parts.join("") !== one.text || parts.length !== one.words.length) throw Error(JSON.stringify(one));
            for (const word of one.words) {
                if (word.start < last - 1e-9 || word.end < word.start - 1e-9) throw Error(JSON.stringify([last, one]));
                last = word.end;
            }
        }
    };
    for (let round = 0; round < rounds; round++) {
        const before = Array.from({length: 6}, (_, at) => made(at * 5));
        let now = before;
        for (let step = random(5); step >= 0; step--) {
            const at = random(now.length), count = now[at].words.length, from = random(count);
            const parts = tokens(now[at].text);
            parts.splice(random(parts.length), random(3), " new", " — words", "日本");
            const edits = [
                rewritten(now[at], at, parts.join("")),
                count > 1 ? [{op: "split", segment: at, word: 1 + random(count - 1)}] : [],
                at + 1 < now.length ? [{op: "merge", segment: at}] : [],
                now.length > 1 ? [{op: "delete", segment: at}] : [],
                [{op: "speaker", segment: at, from, to: from + 1 + random(count - from), speaker: "S9"}],
                [{op: "merge_speakers", from: "S1", into: "S2"}],
            ][random(6)];
            now = apply(now, edits);
            check(now);
        }
        for (const edit of difference(now, before)) { now = apply(now, [edit]); check(now); checked++; }
        if (now.length !== 6 || !now.every((one, at) => same(one, before[at]))) throw Error(`round ${round}`);
    }
    return checked;
}"""


def test_random_edits_can_be_undone(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library") as page:
        expect(page.locator(".empty")).to_be_visible()
        assert page.evaluate(f"async (rounds) => ({RANDOM})(await {CODE}, rounds)", 300) > 300


BLANK = """async () => {
    const rows = document.querySelector('.stt-workbench').shadowRoot.querySelector('.rows');
    let blanks = 0, most = 0;
    for (let at = 0; at < rows.scrollHeight; at += rows.clientHeight * 3) {
        rows.scrollTop = at;
        await new Promise(requestAnimationFrame);
        const box = rows.getBoundingClientRect();
        const turns = [...rows.querySelectorAll('.turn')].map(one => one.getBoundingClientRect());
        const end = Math.min(box.bottom, box.top + rows.scrollHeight - rows.scrollTop);
        most = Math.max(most, turns.length);
        if (!turns.some(one => one.top <= box.top + 20) || !turns.some(one => one.bottom >= end - 20)) blanks++;
    }
    return [blanks, most];
}"""


def test_two_hours(browser: Browser, account: Account, tmp_path: Path) -> None:
    lines = [f"Segment {number} says eight more words, as they do." for number in range(SEGMENTS)]
    id = account.transcribe(wav(tmp_path / "long.wav", 60), *lines, diarize="true")
    assert sum(len(one["words"]) for one in account.stored(id)["segments"]) >= WORDS * 0.9
    with visit(browser, account, "library") as page:
        expect(page.locator("tr.row")).to_have_count(1)
        began = time.perf_counter()
        page.locator("a.title").click()
        expect(turn(page, 0)).to_be_visible()
        shown = time.perf_counter() - began
        blanks, most = page.evaluate(BLANK)
        assert blanks == 0
        assert most < 120
        page.locator(".rows").evaluate("node => { node.scrollTop = node.scrollHeight; }")
        turn(page, SEGMENTS - 1).locator(".word").nth(2).dblclick()
        keys = []
        for letter in "twenty keys or so are":
            began = time.perf_counter()
            page.keyboard.press(letter if letter != " " else "Space")
            page.evaluate("new Promise(requestAnimationFrame)")
            keys.append(time.perf_counter() - began)
        place = page.locator(".rows").evaluate("node => node.scrollTop")
        page.keyboard.press("Escape")
        saved(page)
        assert page.locator(".rows").evaluate("node => node.scrollTop") == pytest.approx(place, abs=60)
        memory = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        assert texts(account, id)[-1].startswith(f"Segment {SEGMENTS - 1} twenty keys or so are")
        middle, slowest = (1000 * sorted(keys)[at] for at in (len(keys) // 2, -1))
        print(f"shown in {shown:.2f} s; a key takes {middle:.0f} ms, {slowest:.0f} at most; {memory:.0f} MB")
