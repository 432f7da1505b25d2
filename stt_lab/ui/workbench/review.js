// The queue of what somebody should look at: uncertain words, and speech that was not understood.
import { transcribeAgain } from "./again.js";
import { button, clock, made, plural } from "./dom.js";
import { pieces } from "./segments.js";
import { unsure } from "./turn.js";

const LEAD_S = 0.6;  // seconds that are heard before a word

export class Review {
  constructor(view) {
    this.view = view;
    this.at = null;
    this.said = made("span", { class: "hint", role: "status" });
    this.word = made("strong", { dir: "auto" });
    this.node = made("div", { class: "bar", role: "region", "aria-label": "Uncertain words" }, this.word, this.said,
      button("Previous", () => this.step(-1), { symbol: "left", bare: true, class: "plain" }), button("Next", () => this.step(1), { symbol: "right", bare: true, class: "plain" }),
      button("Hear", () => this.hear(), { symbol: "play", hidden: !view.player }), this.accepts = button("Accept", () => this.accept(), { symbol: "check" }),
      this.corrects = button("Correct", () => this.correct(), { symbol: "pen" }), this.again = button("Transcribe again", () => this.listen()), button("Close", () => this.close(), { symbol: "close", bare: true, class: "plain" }));
  }

  // All items in order of time: {number, word, start} for a word, {gap, start} for speech without words.
  items() {
    const { segments, info } = this.view;
    const words = segments.flatMap((segment, number) => segment.words.map((one, word) => ({ one, number, word, start: one.start, end: one.end })).filter(({ one }) => unsure(one)));
    const gaps = (info.unrecognized ?? []).map((gap) => ({ gap, start: gap.start, end: gap.end }));
    return gaps.length ? [...words, ...gaps].sort((one, two) => one.start - two.start) : words;
  }

  count() {
    const count = this.items().length;
    this.view.counts(count);
    if (this.node.isConnected) this.show();
  }

  open() {
    this.view.editor.end();
    this.view.bars.replaceChildren(this.node);
    this.step(1, true);
  }

  close() {
    this.node.remove();
    this.view.focus(this.view.current);
  }

  get item() {
    return this.at && this.items().find((one) => one.start === this.at.start && Boolean(one.gap) === Boolean(this.at.gap));
  }

  // Goes to the next item; the first one is at or behind the current segment.
  step(by, fresh = false) {
    const items = this.items();
    if (!this.node.isConnected) this.view.bars.replaceChildren(this.node);
    const from = fresh || !this.at ? this.view.segments[this.view.current].start - 0.001 : this.at.start;
    const next = by > 0 ? items.find(({ start }) => start > from) ?? items[0] : items.findLast(({ start }) => start < from) ?? items.at(-1);
    this.at = next ?? null;
    this.show();
    if (next) this.view.point(next);
  }

  show() {
    const items = this.items(), { item } = this, at = items.findIndex((one) => item && one.start === item.start);
    const left = plural(items.length, "uncertain place");
    this.word.textContent = !item ? "" : item.gap ? "Not understood" : pieces(this.view.segments[item.number])[item.word].trim();
    this.said.textContent = !items.length ? "Nothing is uncertain." : item ? `${at + 1} of ${items.length}, at ${clock(item.start)}` : left;
    this.accepts.disabled = !item || Boolean(item.gap);
    this.corrects.disabled = !item || Boolean(item.gap);
    this.again.hidden = !item?.gap || !this.view.player;
  }

  hear() {
    const { item, view } = this;
    if (item) view.player?.hear(Math.max(0, item.start - LEAD_S));
  }

  // The word is right: it is written again as it is, which makes it a corrected one.
  accept() {
    const { item, view } = this;
    if (!item || item.gap) return;
    const text = pieces(view.segments[item.number])[item.word].trim();
    view.draft.edit([{ op: "replace", segment: item.number, from: item.word, to: item.word + 1, text }]);
    this.step(1);
  }

  listen() {
    if (this.item?.gap) transcribeAgain(this.view, this.item.gap.start, this.item.gap.end);
  }

  correct() {
    const { item, view } = this;
    if (item && !item.gap) view.editor.begin(item.number, { word: item.word });
  }
}
