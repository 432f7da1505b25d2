// The place of one transcript: its text to read, hear and correct.
import { api, FORMATS, address, place } from "./api.js";
import { ask, button, clock, day, languageName, made, menu, plural, root, toast } from "./dom.js";
import { Draft } from "./draft.js";
import { Editor } from "./editor.js";
import { Find } from "./find.js";
import { help, press } from "./keys.js";
import { Player } from "./player.js";
import { Review } from "./review.js";
import { Rows } from "./rows.js";
import { ended } from "./saving.js";
import { speakerMenu } from "./speakers.js";
import { dress, turn } from "./turn.js";
import { Versions } from "./versions.js";

const POLL_MS = 3000, SPACE_BELOW = 12;
const LEAVES = ["pagehide", "stt-send"];  // the page goes, or another page of this browser signs out

export class Transcript {
  constructor(app, query, id, fail) {
    Object.assign(this, { app, id, fail, query, current: 0, follows: true, speakers: [] });
    this.leave = () => { this.editor.end(); this.draft.saving.flush(true); };
    this.sizes = new ResizeObserver(() => requestAnimationFrame(() => this.fit()));  // of the page, in which the transcript may be moved up or down
    this.pressed = (event) => { if (event.target === document.body && this.app.offsetParent) press(this, event); };
  }

  get segments() {
    return this.draft.segments;
  }

  get busy() {
    return this.editor.active;
  }

  address() {
    return `transcript/${this.id}`;
  }

  async open() {
    this.app.replaceChildren(made("p", { class: "loading", textContent: "Loading …" }));
    const stored = () => api(place(this.id), { query: { verbose: true } });
    let info = await stored();
    if (await ended(this.id)) info = await stored();  // with what an earlier visit was still sending
    if (this.closed) return;
    if (info.status !== "done") return this.pending(info);
    this.info = info;
    this.draft = new Draft(info, this);
    this.draw();
    for (const kind of LEAVES) addEventListener(kind, this.leave);
    for (const node of [document.body, this.node]) this.sizes.observe(node);
    document.addEventListener("keydown", this.pressed);
    this.changed(this.query);
    await this.draft.restore();
  }

  // Says what happens to a recording that is not done, and looks again.
  pending({ title, status, error }) {
    const texts = { queued: "It waits for its turn.", running: "It is being transcribed.", cancelled: "It was cancelled." };
    const said = made("div", { class: `notice${error ? " error" : ""}`, role: "status" }, made("p", { dir: "auto", textContent: `${title}: ${error ?? texts[status] ?? status}` }), made("a", { href: "#library", textContent: "To the library" }));
    this.app.replaceChildren(said);
    if (["queued", "running"].includes(status)) this.poll = setTimeout(() => this.open().catch((problem) => this.fail(problem, this)), POLL_MS);
  }

  changed(query) {
    const seconds = Number(query.get("t"));
    if (!this.rows || !query.has("t") || Number.isNaN(seconds)) return;
    this.player?.seek(seconds);
    this.go(this.segmentAt(seconds), true);
  }

  close() {
    this.closed = true;
    clearTimeout(this.poll);
    this.editor?.end();
    this.draft?.saving.close();
    this.player?.close();
    this.rows?.close();
    for (const kind of LEAVES) removeEventListener(kind, this.leave);
    this.sizes.disconnect();
    document.removeEventListener("keydown", this.pressed);
  }

  // The page

  draw() {
    this.rows = new Rows({
      make: (item) => turn(item), guess: (item) => this.guess(item),
      dress: (node, number) => this.dress(node, number),
    });
    this.rows.inner.setAttribute("aria-label", "Transcript");
    this.editor = new Editor(this);
    this.player = this.info.has_audio ? new Player(this.info, { moved: (seconds) => this.moved(seconds), problem: () => toast("This browser cannot play the recording.") }) : null;
    this.saidState = made("span", { class: "saved", role: "status", textContent: "Saved" });
    this.deciding = button("Decide …", null, { hidden: true });
    this.bars = made("div", { class: "bars" });
    this.find = new Find(this);
    this.review = new Review(this);
    const head = this.head();
    this.stage = made("div", { class: "stage" }, this.player?.media ?? null, this.rows.scroller);
    this.node = made("div", { class: "transcript", onkeydown: (event) => press(this, event) }, head, this.bars, this.stage, this.player?.node ?? null);
    this.rows.inner.addEventListener("click", (event) => this.clicked(event));
    this.rows.inner.addEventListener("focusin", (event) => this.focused(event));
    this.rows.inner.addEventListener("dblclick", (event) => this.doubled(event));
    for (const kind of ["wheel", "touchmove"]) this.rows.scroller.addEventListener(kind, () => this.player?.playing && this.follow(false), { passive: true });
    this.app.replaceChildren(this.node);
    root().querySelector(".toasts").className = "toasts raised";
    this.fit();
    this.shown();
  }

  state(name, text, hint = "") {
    this.saidState.className = `saved ${name}`;
    if (this.saidState.textContent !== text) this.saidState.textContent = text;
    this.saidState.title = hint;
  }

  // A question was left open: a button asks it again.
  undecided(ask) {
    this.deciding.hidden = false;
    this.deciding.onclick = () => { this.deciding.hidden = true; ask(); };
  }

  // A text is being edited, and then it is left.
  typed() {
    if (!this.draft.saving.stopped) this.state("typing", "Saving …");
  }

  left() {
    if (this.draft.saving.idle) this.state("saved", "Saved");
    this.shown();
    this.draft.settle();
  }

  async rename() {
    const title = await ask("Rename", "Title", this.info.title, { maxLength: 255, dir: "auto" });
    if (!title || title === this.info.title) return;
    this.titled.textContent = title;
    this.draft.change([{ op: "title", title }], false);
  }

  files(anchor) {
    this.editor.end();
    const entry = (format, text, query = {}) => made("a", { role: "menuitem", textContent: text, href: address(place(this.info.id, `export/${format}/`), query).href, download: "" });
    const links = FORMATS.map(([format, text]) => entry(format, text));
    links.splice(1, 0, entry("txt", "Text with times", { times: true }));
    if (this.player) links.push(made("hr"), made("a", { role: "menuitem", textContent: "Recording", href: this.player.media.src, download: "" }));
    menu(anchor, "Download as", links);
  }

  fit() {
    if (!this.node?.offsetParent) return;
    const top = this.node.getBoundingClientRect().top + scrollY;
    this.node.style.height = `max(420px, calc(100dvh - ${Math.round(top + SPACE_BELOW)}px))`;
  }

  head() {
    const { info } = this;
    this.titled = made("h2", { dir: "auto", textContent: info.title });
    const facts = made("ul", { class: "facts" });
    const words = this.segments.reduce((sum, { words }) => sum + words.length, 0);
    for (const text of [day(info.created), clock(info.duration), languageName(info.language), info.model, plural(words, "word"), info.has_audio ? "" : "The recording was not kept"]) if (text) facts.append(made("li", { textContent: text }));
    for (const text of info.warnings ?? []) facts.append(made("li", { class: "warning", textContent: text, dir: "auto" }));
    const tool = (text, symbol, act, values = {}) => button(text, act, { symbol, title: text, class: "plain", ...values });
    this.undoing = tool("Undo", "undo", () => this.draft.undo(), { bare: true });
    this.redoing = tool("Redo", "redo", () => this.draft.redo(), { bare: true });
    this.following = tool("Follow", "follow", () => this.follow(!this.follows), { "aria-pressed": "true", hidden: !this.player });
    const tools = made("div", { class: "toolbar", role: "toolbar", "aria-label": "Transcript" }, this.saidState, this.deciding, this.undoing, this.redoing, this.following,
      tool("Find", "search", () => this.find.open()), this.reviewing = tool("Review", "check", () => this.review.open()), tool("Versions", "clock", () => new Versions(this).open()),
      tool("Download", "down", (event) => this.files(event.currentTarget)), tool("Help", "help", () => help(), { bare: true }));
    return made("header", { class: "head" }, made("a", { class: "back", href: "#library", "aria-label": "To the library", title: "To the library" }, "‹"),
      made("div", { class: "named" }, made("div", { class: "titled" }, this.titled, button("Rename", () => this.rename(), { symbol: "pen", bare: true, class: "plain pen" })), facts), tools);
  }

  dress(node, number) {
    const item = this.rows.items[number];
    dress(node, item, this.rows.items[number - 1], this.speakers);
    node.setAttribute("aria-setsize", this.rows.items.length);
    node.setAttribute("aria-posinset", number + 1);
    node.classList.toggle("current", this.segments[this.current] === item);
  }

  guess(item) {
    const width = Math.max(240, this.rows.scroller.clientWidth - 150), letters = item.text?.length ?? 20;
    return 10 + 25 * Math.ceil((letters * 7.6) / width);
  }

  // Shows the segments as they are now.
  shown() {
    this.order = new Map(this.segments.map((segment, number) => [segment, number]));
    this.speakers = [...new Set(this.segments.map(({ speaker }) => speaker).filter(Boolean))];
    const gaps = this.info.unrecognized ?? [];
    this.rows.set(gaps.length ? [...this.segments, ...gaps].sort((one, two) => one.start - two.start) : this.segments);
    this.undoing.disabled = !this.draft.past.length;
    this.redoing.disabled = !this.draft.future.length;
    this.review.count();
    this.said?.classList.remove("said");
    this.said = null;
    this.moved(this.player?.media.currentTime ?? -1);
  }

  counts(uncertain) {
    this.reviewing.lastChild.textContent = uncertain ? `Review ${uncertain}` : "Review";
  }

  // Where one is

  go(number, always = false) {
    const before = this.rows.node(this.rows.index.get(this.segments[this.current]));
    this.current = Math.max(0, Math.min(number, this.segments.length - 1));
    before?.classList.remove("current");
    const at = this.rows.index.get(this.segments[this.current]);
    if (at === undefined) return;
    this.rows.reveal(at, always);
    this.rows.node(at)?.classList.add("current");
  }

  focus(number) {
    this.go(number);
    this.rows.node(this.rows.index.get(this.segments[this.current]))?.querySelector(".text").focus({ preventScroll: true });
  }

  // Shows an item of the review, and marks its word.
  point({ number, word, gap }) {
    if (gap) return this.rows.reveal(this.rows.index.get(gap));
    this.go(number);
    const node = this.rows.node(this.rows.index.get(this.segments[number]))?.querySelector(`[data-word="${word}"]`);
    this.pointed?.classList.remove("pointed");
    this.pointed = node;
    node?.classList.add("pointed");
  }

  segmentAt(seconds) {
    let low = 0, high = this.segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.segments[middle].start <= seconds + 0.02) low = middle + 1; else high = middle;
    }
    return Math.max(0, low - 1);
  }

  // Marks the word that is spoken.
  moved(seconds) {
    const number = this.segmentAt(seconds), words = this.segments[number]?.words ?? [];
    const word = words.findLastIndex(({ start }) => start <= seconds + 0.02);
    const node = this.rows.node(this.rows.index.get(this.segments[number]));
    const said = seconds > 0 || this.player?.playing ? node?.querySelector(`[data-word="${word}"]`) ?? null : null;
    if (said !== this.said) {
      this.said?.classList.remove("said");
      said?.classList.add("said");
      this.said = said;
    }
    if (this.follows && this.player?.playing && number !== this.heard && !this.editor.active) this.rows.reveal(this.rows.index.get(this.segments[number]));
    this.heard = number;
  }

  follow(on) {
    this.follows = on;
    this.following.setAttribute("aria-pressed", on);
    if (on) this.rows.reveal(this.rows.index.get(this.segments[this.segmentAt(this.player.media.currentTime)]));
  }

  range() {
    const inner = root().getSelection?.() ?? getSelection();  // only Chromium has that of a shadow root
    if (!root().getSelection && inner.getComposedRanges) return inner.getComposedRanges({ shadowRoots: [root()] })[0] ?? null;
    return inner.rangeCount ? inner.getRangeAt(0) : null;
  }

  // The words that are selected within one segment: {segment, from, to}, or null.
  selected() {
    const range = this.range(), row = (node) => (node instanceof Element ? node : node.parentElement)?.closest(".turn");
    if (!range || range.collapsed || this.editor.active || !row(range.startContainer) || row(range.startContainer) !== row(range.endContainer)) return null;
    const segment = this.itemOf(row(range.startContainer)), live = document.createRange();
    live.setStart(range.startContainer, range.startOffset);
    live.setEnd(range.endContainer, range.endOffset);
    const chosen = [...row(range.startContainer).querySelectorAll(".word")].filter((node) => live.intersectsNode(node)).map((node) => Number(node.dataset.word));
    return chosen.length && this.order.has(segment) ? { segment: this.order.get(segment), from: chosen[0], to: chosen.at(-1) + 1 } : null;
  }

  itemOf(row) {
    for (const [item, node] of this.rows.nodes) if (node === row) return item;
    return null;
  }

  clicked(event) {
    const row = event.target.closest(".turn"), item = row && this.itemOf(row), range = this.range();
    if (!item || row.classList.contains("edited")) return;
    const number = this.order.get(item), word = event.target.closest(".word");
    if (number !== undefined && !event.target.closest("button")) this.go(number);
    if (event.target.closest(".time")) return this.player?.hear(item.start);
    if (event.target.closest(".who, .more")) return speakerMenu(this, number, event.target.closest("button"));
    if (event.target.closest(".edit")) return this.editor.begin(number);
    if (!word || !this.player || (range && !range.collapsed)) return;
    if (event.detail === 1) this.played = this.player.playing;
    this.player.hear(item.words[Number(word.dataset.word)].start);
  }

  // Keys act on the segment that has the focus.
  focused(event) {
    const row = event.target.closest(".turn"), number = this.order.get(row && this.itemOf(row));
    if (number !== undefined && number !== this.current && !this.editor.active) this.go(number);
  }

  doubled(event) {
    const row = event.target.closest(".turn"), number = this.order.get(row && this.itemOf(row));
    if (number === undefined || !event.target.closest(".text") || row.classList.contains("edited")) return;
    if (!this.played) this.player?.media.pause();
    const word = event.target.closest(".word");
    this.editor.begin(number, word ? { word: Number(word.dataset.word) } : { caret: Infinity });
  }
}
