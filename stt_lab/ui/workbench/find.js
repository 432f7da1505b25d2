// Find and replace in all segments.
import { button, made, plural, toast } from "./dom.js";
import { rewritten } from "./segments.js";

const WAIT_MS = 150;

export class Find {
  constructor(view) {
    this.view = view;
    this.at = -1;
    this.query = made("input", { type: "search", placeholder: "Find", "aria-label": "Find", oninput: () => this.later() });
    this.text = made("input", { placeholder: "Replace with", "aria-label": "Replace with" });
    this.exact = made("input", { type: "checkbox", onchange: () => this.search() });
    this.said = made("span", { class: "hint", role: "status" });
    this.node = made("search", { class: "bar", onkeydown: (event) => this.press(event) }, this.query,
      button("Previous", () => this.step(-1), { symbol: "left", bare: true, class: "plain" }), button("Next", () => this.step(1), { symbol: "right", bare: true, class: "plain" }),
      this.said, made("label", { class: "tick" }, this.exact, "Match case"), this.text,
      button("Replace", () => this.replace()), button("Replace all", () => this.replaceAll()),
      button("Close", () => this.close(), { symbol: "close", bare: true, class: "plain" }));
  }

  open() {
    this.view.editor.end();
    this.view.bars.replaceChildren(this.node);
    this.query.focus();
    this.query.select();
    this.search();
  }

  close() {
    this.node.remove();
    CSS.highlights?.delete("stt-found");
    this.view.focus(this.view.current);
  }

  press(event) {
    if (event.key === "Escape") this.close();
    if (event.key === "Enter" && event.target === this.query) this.step(event.shiftKey ? -1 : 1);
    if (event.key === "Enter" && event.target === this.text) this.replace();
    event.stopPropagation();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.begin(), WAIT_MS);
  }

  begin() {
    clearTimeout(this.timer);
    this.timer = null;
    this.at = -1;
    this.search();
  }

  get pattern() {
    return this.query.value ? new RegExp(RegExp.escape?.(this.query.value) ?? this.query.value.replace(/[\\^$.*+?()[\]{}|\-/]/g, "\\$&"), this.exact.checked ? "gu" : "giu") : null;
  }

  // All places: [segment, from, to] in characters.
  search() {
    const { pattern } = this;
    this.places = pattern ? this.view.segments.flatMap(({ text }, number) => [...text.matchAll(pattern)].filter((one) => one[0]).map((one) => [number, one.index, one.index + one[0].length])) : [];
    this.at = Math.min(this.at, this.places.length - 1);
    this.tell();
    this.mark();
  }

  tell() {
    const count = this.places.length;
    this.said.textContent = !this.query.value ? "" : !count ? "Nothing found" : this.at < 0 ? plural(count, "place") : `${this.at + 1} of ${count}`;
  }

  step(by) {
    if (this.timer) this.begin();
    if (!this.places.length) return;
    const from = this.at >= 0 ? this.at + by : Math.max(0, this.places.findIndex(([number]) => number >= this.view.current));
    this.at = (from + this.places.length) % this.places.length;
    this.view.go(this.places[this.at][0]);
    this.tell();
    this.mark();
  }

  // Marks the place in the text; the row is in sight now.
  mark() {
    CSS.highlights?.delete("stt-found");
    const place = this.places[this.at], row = place && this.view.rows.node(this.view.rows.index.get(this.view.segments[place[0]]));
    if (!row || !CSS.highlights) return;
    const range = document.createRange(), text = row.querySelector(".text");
    const nodes = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    let sum = 0;
    for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
      if (place[1] >= sum && place[1] <= sum + node.length) range.setStart(node, place[1] - sum);
      if (place[2] >= sum && place[2] <= sum + node.length) { range.setEnd(node, place[2] - sum); break; }
      sum += node.length;
    }
    CSS.highlights.set("stt-found", new Highlight(range));
  }

  changed(number, text) {
    return rewritten(this.view.segments[number], number, text);
  }

  replace() {
    if (this.timer) this.begin();
    if (this.at < 0) return this.step(1);
    const [number, from, to] = this.places[this.at], { text } = this.view.segments[number];
    this.view.draft.edit(this.changed(number, text.slice(0, from) + this.text.value + text.slice(to)));
    this.at -= 1;
    this.search();
    this.step(1);
  }

  replaceAll() {
    if (this.timer) this.begin();
    const { pattern, places } = this, numbers = [...new Set(places.map(([number]) => number))].reverse();
    if (!numbers.length) return;
    const edits = numbers.flatMap((number) => this.changed(number, this.view.segments[number].text.replace(pattern, () => this.text.value)));
    const gone = edits.filter(({ op }) => op === "delete").length;
    if (gone >= this.view.segments.length) return toast("This would delete all text. Delete the transcript in the library instead.");
    this.view.draft.edit(edits);
    toast(`${plural(places.length, "place")} replaced.`, "Undo", () => this.view.draft.undo());
    this.at = -1;
    this.search();
  }
}
