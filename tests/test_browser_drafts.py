"""Edits that meet in the Library tab: drafts of two tabs, lost answers, long texts, times, versions; hostile data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Browser, Page, browser_fixture, expect  # noqa: F401
from playwright.sync_api import Route
from toy_server import Served, Toy, until, wav
from workbench import (  # noqa: F401
    CODE,
    LINES,
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

TRANSCRIPTS = "**/api/v1/transcripts/*/"
KEPT = "Object.keys(localStorage).filter(key => key.startsWith('stt_lab.edits'))"
PLANTS = (
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=2>",
    "${window.ran=3} `${window.ran=3}`",
    "{{window.ran=4}} {{{window.ran=4}}}",
    "\u202egnihtyna\u2066 \u200fab",
    "javascript:window.ran=5",
)


@pytest.fixture
def owner(served: Served) -> Iterator[Account]:
    """An account whose key may do all that the account may."""
    account = Account(served)
    account.key = served.accounts.create_key(account.id, "all", ["speech", "library", "account"])[1]
    yield account
    account.client.close()


@pytest.fixture
def owned(owner: Account, tmp_path: Path) -> int:
    return owner.transcribe(wav(tmp_path / "meeting.wav", 12), *LINES)


def refuse(route: Route) -> None:
    route.abort() if route.request.method == "PATCH" else route.continue_()


def write(page: Page, number: int, word: int, text: str) -> None:
    begin(page, number, word)
    page.keyboard.type(text)
    page.keyboard.press("Escape")


def offline(page: Page) -> None:
    expect(page.locator(".saved")).to_have_text("Offline: kept in this browser")


def test_two_tabs_keep_drafts_of_their_own(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        page.context.route(TRANSCRIPTS, refuse)
        write(page, 1, 1, "first")
        offline(page)
        other = page.context.new_page()
        other.goto(page.url)
        expect(turn(other, 1).locator(".text")).to_have_text(LINES[1])  # what a living tab keeps is its own
        write(other, 4, 1, "second")
        offline(other)
        for one in (page, other):
            one.goto("about:blank")
        page.context.unroute(TRANSCRIPTS)
        page.goto(f"{account.served.url}/#transcript/{id}")
        expect(turn(page, 1).locator(".text")).to_have_text("The first is open today.")
        expect(turn(page, 4).locator(".text")).to_have_text("Nobody second that yet.")
        until(lambda: texts(account, id)[1::3] == ["The first is open today.", "Nobody second that yet."], 20)
        saved(page)
        until(lambda: page.evaluate(KEPT) == [], 20)


def test_a_title_of_another_client_is_no_conflict(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        begin(page, 1, 1)
        account.client.patch(f"/api/v1/transcripts/{id}/", json={"title": "Another"}).raise_for_status()
        page.keyboard.type("budget")
        page.keyboard.press("Escape")
        saved(page)
        assert account.stored(id)["title"] == "Another"
        assert texts(account, id)[1] == "The budget is open today."
        assert page.get_by_role("dialog").count() == 0
        page.keyboard.press("Control+z")
        saved(page)
        assert texts(account, id) == list(LINES)


def test_a_lost_answer_before_more_edits(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        lost: list[int] = []

        def lose(route: Route) -> None:
            if route.request.method != "PATCH" or lost:
                return route.continue_()
            lost.append(route.fetch().status)
            route.abort()

        page.route(TRANSCRIPTS, lose)
        write(page, 1, 1, "budget")
        expect(page.locator(".saved")).to_have_text("Offline: kept in this browser")
        write(page, 1, 1, "plan")
        saved(page)
        assert lost == [200]
        assert texts(account, id)[1] == "The plan is open today."
        assert page.get_by_role("dialog").count() == 0


def test_a_dialog_that_was_left_decides_nothing(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        begin(page, 1, 1)
        stored = account.stored(id)
        edits = [{"op": "replace", "segment": 1, "from": 0, "to": 1, "text": "Our"}]
        body = {"revision": stored["revision"], "edits": edits}
        account.client.patch(f"/api/v1/transcripts/{id}/", json=body).raise_for_status()
        page.keyboard.type("budget")
        page.keyboard.press("Escape")
        dialog = page.get_by_role("dialog", name="Two versions")
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator(".saved")).to_have_text("Not saved")
        page.get_by_role("button", name="Decide").click()
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        page.reload()
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Decide").click()
        expect(dialog.get_by_label("Your text")).to_have_value("The budget is open today.")
        page.get_by_role("button", name="Drop my edits").click()
        expect(turn(page, 1).locator(".text")).to_have_text("Our budjet is open today.")
        saved(page)
        page.reload()
        expect(turn(page, 1)).to_be_visible()
        assert page.get_by_role("dialog").count() == 0


MERGED = """async ({reapplied}) => {
    const made = (text) => ({text, speaker: null, words: []}), base = ["a", "b", "c", "d", "e", "f"].map(made);
    const both = base.with(1, made("B")), mine = both.with(3, made("mine")), theirs = both.with(3, made("theirs"));
    const {made: joined, lost} = reapplied(base, mine.with(5, made("F")), theirs.toSpliced(0, 0, made("new")));
    return [joined.map(({text}) => text), lost.map(({text}) => text)];
}"""


def test_what_two_changed_alike_is_no_conflict(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library") as page:
        expect(page.locator(".empty")).to_be_visible()
        joined, lost = page.evaluate(f"async () => ({MERGED})(await {CODE})")
        assert joined == ["new", "a", "B", "c", "theirs", "e", "F"]
        assert lost == ["mine"]


NEIGHBOURS = """async ({reapplied}) => {
    const made = (text, start, end) => ({text, speaker: null, words: [], start, end});
    const base = [0, 1, 2, 3].map((at) => made(`${at}`, at, at + 1)), said = ({text}) => text;
    const mine = base.with(1, made("one", 1, 2)), theirs = base.with(2, made("two", 2, 3));
    const alike = reapplied(base, mine, mine.with(2, made("two", 2, 3))), beside = reapplied(base, mine, theirs);
    const moved = base.toSpliced(1, 3, made("12", 1, 3), made("a", 3, 3.5), made("b", 3.5, 4));  // joined and split
    return [alike, beside, reapplied(base, moved, mine)].map(({made, lost}) => [made.map(said), lost.map(said)]);
}"""


def test_neighbours_that_two_changed_are_no_conflict(browser: Browser, account: Account) -> None:
    with visit(browser, account, "library") as page:
        expect(page.locator(".empty")).to_be_visible()
        alike, beside, across = page.evaluate(f"async () => ({NEIGHBOURS})(await {CODE})")
        assert alike == beside == [["0", "one", "two", "3"], []]
        assert across == [["0", "one", "2", "3"], ["12", "a", "b"]]


def test_typing_goes_on_while_the_last_edit_of_an_earlier_visit_arrives(
    browser: Browser, account: Account, id: int
) -> None:
    """As a page that was loaded again sends it: the server has it soon, this browser keeps it until then."""
    last = {"revision": 1, "edits": [{"op": "replace", "segment": 2, "from": 1, "to": 2, "text": "gather"}]}
    with visit(browser, account, f"transcript/{id}") as page:
        begin(page, 1, 1)
        page.evaluate("kept => Object.assign(localStorage, kept)", {f"stt_lab.edits.{id}.gone.1": json.dumps(last)})
        account.client.patch(f"/api/v1/transcripts/{id}/", json=last).raise_for_status()
        page.keyboard.type("bud")
        expect(turn(page, 2).locator(".text")).to_have_text("We gather again at noon.")
        page.keyboard.type("get")
        page.keyboard.press("Escape")
        saved(page)
        assert page.get_by_role("dialog").count() == 0
        assert texts(account, id)[1:3] == ["The budget is open today.", "We gather again at noon."]
        page.reload()
        until(lambda: page.evaluate(KEPT) == [], 20)
        assert texts(account, id)[1:3] == ["The budget is open today.", "We gather again at noon."]


def test_a_long_text_is_saved_in_pieces(browser: Browser, account: Account, id: int) -> None:
    long = " ".join(f"word{number}" for number in range(3000))
    with visit(browser, account, f"transcript/{id}") as page:
        begin(page, 1, 1)
        page.keyboard.insert_text(long)
        page.keyboard.press("Escape")
        saved(page)
        assert texts(account, id)[1] == f"The {long} is open today."
        page.keyboard.press("Control+z")
        saved(page)
        assert texts(account, id) == list(LINES)


def test_times(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        first, last = account.stored(id)["segments"][1]["words"][0], account.stored(id)["segments"][1]["words"][-1]
        menu(page, 1, "Times …")
        dialog = page.get_by_role("dialog", name="Times in seconds")
        dialog.get_by_role("spinbutton", name="Start").fill("1")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_visible()  # the browser says that it is too early
        start = round(first["start"] + 0.1, 3)
        dialog.get_by_role("spinbutton", name="Start").fill(str(start))
        dialog.get_by_role("button", name="Save").click()
        until(lambda: account.stored(id)["segments"][1]["words"][0]["start"] == start, 20)
        saved(page)
        words = account.stored(id)["segments"][1]["words"]
        assert (words[0]["start"], words[0]["end"], words[0]["corrected"]) == (start, first["end"], True)
        assert words[-1] == last
        page.keyboard.press("Control+z")
        saved(page)
        assert account.stored(id)["segments"][1]["words"][0]["start"] == first["start"]


def test_keys_act_on_the_segment_that_has_the_focus(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        turn(page, 3).get_by_role("button", name="More").focus()
        page.keyboard.press("m")
        saved(page)
        assert texts(account, id)[3] == f"{LINES[3]} {LINES[4]}"


def test_versions_say_how_many_segments_have_another_speaker(browser: Browser, account: Account, id: int) -> None:
    account.client.patch(f"/api/v1/transcripts/{id}/", json={"speakers": {"Speaker 1": "Zoe"}}).raise_for_status()
    with visit(browser, account, f"transcript/{id}") as page:
        write(page, 1, 1, "budget")
        saved(page)
        page.get_by_role("button", name="Versions").click()
        page.get_by_role("button", name="Compare with now").last.click()
        expect(page.locator(".compared .hint").first).to_have_text("Speaker 1 → Zoe: 2 segments")
        expect(page.locator(".compared del")).to_have_text("budjet")


def test_listening_again(browser: Browser, account: Account, id: int) -> None:
    def jobs() -> Any:
        return account.client.get("/v1/jobs").json()["results"]

    with visit(browser, account, f"transcript/{id}") as page:
        write(page, 1, 1, "budget")
        for number in (0, 1):
            menu(page, number, "Speaker 2")
        saved(page)
        lines, Toy.lines = Toy.lines, ("This is heard again now.",)
        try:
            menu(page, 3, "Transcribe this segment …")
            page.get_by_role("dialog").get_by_role("button", name="Transcribe").click()
            expect(turn(page, 3).locator(".text")).to_have_text("is heard again")
        finally:
            Toy.lines = lines
        assert texts(account, id)[:3] == [LINES[0], "The budget is open today.", LINES[2]]
        menu(page, 1, "Find the speakers of all …")
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        until(lambda: [job["status"] for job in jobs() if job["operation"] == "diarize_transcript"] == ["done"])
        stored = account.stored(id)["segments"]
        assert [one["speaker"] for one in stored][:3] == ["Speaker 2", "Speaker 2", "Speaker 1"]  # chosen: stays
        expect(turn(page, 1).locator(".who")).to_have_text("Speaker 2")
        write(page, 0, 0, "Fine")
        saved(page)
        assert texts(account, id)[0] == "Fine morning, everybody."


def test_a_transcript_that_was_left_while_the_server_is_away(browser: Browser, account: Account, id: int) -> None:
    """What this page could not send yet is in the transcript when it is shown again, and goes with what comes after."""
    with visit(browser, account, f"transcript/{id}") as page:
        page.route(TRANSCRIPTS, refuse)
        write(page, 1, 1, "first")
        offline(page)
        page.get_by_label("To the library").click()
        page.locator("a.title").click()
        expect(turn(page, 1).locator(".text")).to_have_text("The first is open today.")
        write(page, 4, 1, "second")
        offline(page)
        page.unroute(TRANSCRIPTS)
        saved(page)
        assert texts(account, id)[1::3] == ["The first is open today.", "Nobody second that yet."]
        assert page.get_by_role("dialog").count() == 0
        write(page, 3, 0, "What")
        page.get_by_label("To the library").click()  # while it is being sent
        page.locator("a.title").click()
        expect(turn(page, 3).locator(".text")).to_have_text("What pays for it?")
        write(page, 5, 0, "May")
        saved(page)
        assert texts(account, id)[3::2] == ["What pays for it?", "May us ask the bored."]
        assert page.evaluate(KEPT) == []


SLOW = """() => {
    const real = window.fetch;
    window.fetch = async (...asked) => {
        if (String(asked[0]).includes("verbose")) await new Promise((resolve) => setTimeout(resolve, 900));
        return real(...asked);
    };
}"""


def test_what_is_typed_before_a_conflict_is_told_takes_part(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        begin(page, 1, 1)
        edits = [{"op": "delete", "segment": 4}]
        body = {"revision": account.stored(id)["revision"], "edits": edits}
        account.client.patch(f"/api/v1/transcripts/{id}/", json=body).raise_for_status()
        page.evaluate(SLOW)
        with page.expect_response(lambda answer: answer.status == 409):
            page.keyboard.type("bud")
        page.keyboard.type("get")
        page.get_by_role("dialog", name="Two versions").get_by_role("button", name="Apply mine again").click()
        saved(page)
        assert texts(account, id) == [LINES[0], "The budget is open today.", *LINES[2:4], LINES[5]]


def test_a_version_that_cannot_be_read_now_is_asked_for_again(browser: Browser, account: Account, id: int) -> None:
    with visit(browser, account, f"transcript/{id}") as page:
        page.context.route(TRANSCRIPTS, refuse)
        write(page, 1, 1, "budget")
        offline(page)
        page.goto("about:blank")
        edits = [{"op": "replace", "segment": 4, "from": 0, "to": 1, "text": "Somebody"}]

        def edited() -> bool:  # the page's last request, as it is left, may still arrive
            body = {"revision": account.stored(id)["revision"], "edits": edits}
            return account.client.patch(f"/api/v1/transcripts/{id}/", json=body).is_success

        until(edited)
        page.context.unroute(TRANSCRIPTS)
        page.context.route(
            "**/revisions/*/", lambda route: route.fulfill(status=503, json={"error": "Later."}), times=1
        )
        page.goto(f"{account.url}/#transcript/{id}")
        expect(turn(page, 1).locator(".text")).to_have_text("The budget is open today.")
        saved(page)
        assert texts(account, id)[1::3] == ["The budget is open today.", "Somebody knows that yet."]


# To sign out


def sign_out(page: Page, account: Account) -> None:
    page.goto(f"{account.url}/#account")
    page.get_by_role("button", name="Sign out").click()


def signed_out(page: Page, account: Account) -> None:
    page.wait_for_url(f"{account.url}/")
    expect(page.locator("#stt-go")).to_be_visible()
    assert page.evaluate("fetch('/api/v1/transcripts/').then(answer => answer.status)") == 401
    assert page.evaluate(KEPT) == []


def test_signing_out_sends_what_waits(browser: Browser, owner: Account, owned: int, tmp_path: Path) -> None:
    second = owner.transcribe(wav(tmp_path / "second.wav", 12), *LINES)
    with visit(browser, owner, f"transcript/{owned}") as page:
        page.context.route(TRANSCRIPTS, refuse)
        write(page, 1, 1, "first")
        offline(page)
        other = page.context.new_page()
        other.goto(f"{owner.url}/#transcript/{second}")
        write(other, 4, 1, "second")
        begin(other, 2, 1)
        page.context.unroute(TRANSCRIPTS)
        other.keyboard.type("part")  # not a second ago
        sign_out(page, owner)
        signed_out(page, owner)
        until(lambda: texts(owner, owned)[1] == "The first is open today.")
        until(lambda: texts(owner, second)[2::2] == ["We part again at noon.", "Nobody second that yet."])
        expect(other.locator(".notice")).to_contain_text("Please sign in")
        assert other.evaluate(KEPT) == []


def test_signing_out_asks_before_it_deletes(browser: Browser, owner: Account, owned: int) -> None:
    with visit(browser, owner, f"transcript/{owned}") as page:
        page.context.route(TRANSCRIPTS, refuse)
        write(page, 1, 1, "budget")
        offline(page)
        sign_out(page, owner)
        dialog = page.get_by_role("dialog", name="Edits are not saved")
        dialog.get_by_role("button", name="Stay signed in").click()
        assert len(page.evaluate(KEPT)) == 1
        page.get_by_role("button", name="Sign out").click()
        dialog.get_by_role("link", name=f"Transcript {owned}").click()
        expect(turn(page, 1).locator(".text")).to_have_text("The budget is open today.")
        sign_out(page, owner)
        dialog.get_by_role("button", name="Sign out and delete them").click()
        signed_out(page, owner)
        assert texts(owner, owned) == list(LINES)


# Hostile data


def test_hostile_data_is_shown_as_it_is(browser: Browser, account: Account, tmp_path: Path) -> None:
    id = account.transcribe(wav(tmp_path / "meeting.wav", 12), *PLANTS)
    stored = account.stored(id)
    edits = [{"op": "speaker", "segment": n, "from": 0, "to": len(one["words"]), "speaker": PLANTS[n % 4]}
             for n, one in enumerate(stored["segments"]) if one["words"]]  # fmt: skip
    change = {"revision": stored["revision"], "edits": edits, "title": " ".join(PLANTS)}
    for body in (change, {"tags": [one for one in PLANTS if len(one) <= 40 and one.isprintable()]}):
        answer = account.client.patch(f"/api/v1/transcripts/{id}/", json=body)
        assert answer.status_code == 200, answer.text
    shown = account.stored(id)
    with visit(browser, account, "library") as page:
        expect(page.locator("a.title")).to_have_text(shown["title"])
        expect(page.locator(".chip")).to_have_text(shown["tags"])
        page.locator(".chip").nth(3).click()
        expect(page.locator("a.title")).to_have_count(1)
        page.goto(f"{account.served.url}/#library?query=window")
        expect(page.locator(".found .snippet").first).to_contain_text("window")
        page.goto(f"{account.served.url}/#transcript/{id}")
        for number, segment in enumerate(shown["segments"]):
            expect(turn(page, number).locator(".text")).to_have_text(segment["text"])
            expect(turn(page, number).locator(".who")).to_have_text(segment["speaker"])
        page.keyboard.press("n")
        turn(page, 1).locator(".who").click()
        expect(page.get_by_role("menu")).to_contain_text(f"Merge into {PLANTS[0]}")
        page.keyboard.press("Escape")
        write(page, 0, 0, PLANTS[1])
        saved(page)
        page.get_by_role("button", name="Versions").click()
        page.get_by_role("button", name="Compare with now").last.click()
        expect(page.locator(".compared ins").first).to_be_visible()
        assert page.evaluate(PLANTED) == 0
        page.keyboard.press("Escape")
        page.get_by_label("To the library").click()
        page.locator("tr.row").get_by_role("checkbox").check()
        page.locator(".selection").get_by_role("button", name="Delete").click()
        expect(page.locator(".toast")).to_contain_text(PLANTS[1])
        page.locator(".toast").get_by_role("button", name="Undo").click()
        expect(page.locator("a.title")).to_have_count(1)
        assert page.evaluate(PLANTED) == 0
