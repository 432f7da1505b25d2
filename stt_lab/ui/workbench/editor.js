// Edits the text of one segment in its place. What is typed becomes edits after a pause, and when the segment is left.
import { toast } from "./dom.js";
import { pieces, rewritten, tokens } from "./segments.js";
import { write } from "./turn.js";

const PAUSE_MS = 1000;

export class Editor {
  constructor(view) {
    this.view = view;
  }

  get active() {
    return Boolean(this.text);
  }

  get segment() {
    return this.view.segments[this.number];
  }

  // Begins with a word selected, or with the caret at a character.
  begin(number, { word, caret = 0 } = {}) {
    const { view } = this;
    if (this.active && this.number === number) return;
    const wanted = view.segments[number];
    this.end();
    number = view.segments.indexOf(wanted) < 0 ? Math.min(number, view.segments.length - 1) : view.segments.indexOf(wanted);
    view.go(number);
    const node = view.rows.node(view.rows.index.get(view.segments[number])), text = node?.querySelector(".text");
    if (!text) return;
    Object.assign(this, { number, text, row: node, before: view.segments });
    const parts = pieces(this.segment), from = word === undefined ? caret : parts.slice(0, word).join("").length;
    const to = word === undefined ? caret : from + parts[word].trim().length;
    text.replaceChildren(this.segment.text);
    text.contentEditable = "plaintext-only";
    text.spellcheck = true;
    text.lang = view.info.language ?? "";
    text.setAttribute("role", "textbox");
    text.setAttribute("aria-multiline", "true");
    text.setAttribute("aria-label", "Text of the segment");
    this.listeners = { input: () => this.typed(), blur: () => this.end(), keydown: (event) => this.press(event) };
    for (const [kind, act] of Object.entries(this.listeners)) text.addEventListener(kind, act);
    node.classList.add("edited");
    text.focus({ preventScroll: true });
    this.select(from, to);
  }

  select(from, to) {
    const node = this.text.firstChild ?? this.text, most = node.length ?? 0;
    getSelection().setBaseAndExtent(node, Math.min(from, most), node, Math.min(to, most));
  }

  // Characters before the caret, or null while something is selected.
  caret() {
    const range = this.view.range();
    if (!range || !range.collapsed) return null;
    const before = document.createRange();
    before.setStart(this.text, 0);
    before.setEnd(range.startContainer, range.startOffset);
    return before.toString().length;
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.commit(), PAUSE_MS);
    this.view.typed();
  }

  get written() {
    return this.text.textContent.replace(/\s+/g, " ").trim();
  }

  // A segment of which nothing is left goes when it is left.
  get emptied() {
    return this.active && !this.written;
  }

  // Makes edits of what was typed. An emptied segment goes only when it is left.
  commit(leaving = false) {
    clearTimeout(this.timer);
    if (!this.active) return;
    const text = this.written, before = this.segment;
    if (text === before.text || (!text && !leaving)) return;
    if (!text && this.view.segments.length === 1) return toast("The only segment cannot be deleted. Delete the transcript in the library instead.");
    this.view.draft.change(rewritten(before, this.number, text), false);
    if (text) this.view.rows.rekey(before, this.segment);
    this.view.shown();
  }

  // Ends the editing; everything that was done in it is one step of undo.
  end() {
    if (!this.active) return;
    this.commit(true);
    const { text, before, row } = this, segment = this.segment;
    for (const [kind, act] of Object.entries(this.listeners)) text.removeEventListener(kind, act);
    this.text = null;
    text.contentEditable = "false";
    text.removeAttribute("contenteditable");
    for (const name of ["role", "aria-multiline", "aria-label"]) text.removeAttribute(name);
    row.classList.remove("edited");
    if (segment && row.isConnected) write(text, segment);
    this.view.draft.record(before);
    this.view.left();
  }

  // Makes a change that comes from elsewhere, and goes on editing at the caret.
  around(change) {
    if (!this.active) return change();
    const caret = this.caret() ?? this.written.length, { start } = this.segment;
    this.end();
    change();
    this.begin(this.view.segmentAt(start), { caret });
  }

  press(event) {
    const { key, isComposing, altKey, ctrlKey, metaKey } = event, strong = ctrlKey || metaKey;
    if (isComposing) return;
    const acts = {
      Escape: () => this.finish(), Enter: () => (strong ? this.finish() : this.split()),
      Backspace: () => this.caret() === 0 && this.number > 0 && this.join(this.number - 1),
      Delete: () => this.caret() === this.text.textContent.length && this.number + 1 < this.view.segments.length && this.join(this.number),
      ArrowUp: () => altKey && this.step(-1), ArrowDown: () => altKey && this.step(1),
      " ": () => strong && this.view.player?.play(), s: () => strong && this.store(), Tab: () => this.step(event.shiftKey ? -1 : 1),
    };
    const done = acts[key]?.();
    if (done !== false && acts[key] && done !== undefined) event.preventDefault();
    if (["Escape", "Enter"].includes(key) || (strong && [" ", "s"].includes(key))) event.preventDefault();
    event.stopPropagation();
  }

  store() {
    this.commit();
    this.view.draft.saving.flush();
  }

  finish() {
    const { row } = this;
    this.end();
    row.querySelector(".text")?.focus({ preventScroll: true });
  }

  step(by) {
    const wanted = this.number + by;
    if (wanted < 0 || wanted >= this.view.segments.length) return false;
    this.begin(wanted);
    return true;
  }

  // Splits at the caret: what is behind it becomes a segment.
  split() {
    const caret = this.caret(), all = this.text.textContent;
    if (caret === null) return;
    const [head, tail] = [tokens(all.slice(0, caret)), tokens(all.slice(caret))];
    if (!head.length || !tail.length) return;
    this.text.textContent = `${all.slice(0, caret)} ${all.slice(caret)}`;
    this.commit();
    const { number } = this, word = tokens(all.slice(0, caret)).length;
    this.follow(() => this.view.draft.change([{ op: "split", segment: number, word }], false), number + 1, 0);
  }

  // Joins a segment and the next one, with the caret between them.
  join(number) {
    this.commit();
    const caret = this.view.segments[number].text.length;
    this.follow(() => this.view.draft.change([{ op: "merge", segment: number }], false), number, caret);
    return true;
  }

  // Changes segments and goes on editing, as one step of undo.
  follow(change, number, caret) {
    const { view } = this, before = this.before;
    this.before = view.segments;
    this.end();
    change();
    view.draft.record(before);
    view.shown();
    this.begin(number, { caret });
  }
}
