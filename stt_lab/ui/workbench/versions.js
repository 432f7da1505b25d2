// Versions of a transcript: who made them and when, what differs from now, and how to return to one.
import { api, place } from "./api.js";
import { button, day, dialog, made, plural, toast } from "./dom.js";
import { UNSAVED } from "./saving.js";
import { pieces, same, stretches } from "./segments.js";

const SHOWN = 200;  // places that differ

export class Versions {
  constructor(view) {
    this.view = view;
    this.id = view.info.id;
  }

  async open() {
    const { view } = this;
    view.editor.end();
    await view.draft.saving.all();
    this.list = made("ol", { class: "versions" }, made("li", { textContent: "Loading …" }));
    this.compared = made("div", { class: "compared" });
    dialog("Versions", [this.list, this.compared], undefined, true);
    try {
      const { results } = await api(place(this.id, "revisions/"));
      this.list.replaceChildren(...results.map((one) => this.entry(one)));
    } catch (problem) {
      this.list.replaceChildren(made("li", { role: "alert", textContent: problem.message }));
    }
  }

  entry({ revision, created, author, edits }) {
    const now = revision === this.view.info.revision;
    const facts = made("span", { class: "hint", textContent: `${day(created)}${author ? `, ${author}` : ""}${edits ? `, ${plural(edits, "edit")}` : ""}` });
    const row = made("li", {}, made("strong", { textContent: now ? `${revision} (now)` : `${revision}` }), facts);
    if (!now) row.append(button("Compare with now", () => this.compare(revision)), button("Restore", () => this.restore(revision)));
    return row;
  }

  async compare(revision) {
    try {
      const then = await api(place(this.id, `revisions/${revision}/`));
      const hunks = stretches(then.segments, this.view.segments, same).reverse();
      const shown = summary(hunks.flatMap(([from, to, first, last]) => paired(then.segments.slice(from, to), this.view.segments.slice(first, last))));
      this.compared.replaceChildren(made("h3", { textContent: `From version ${revision} to now` }), ...(shown.length ? shown : [made("p", { textContent: "Nothing differs." })]));
    } catch (problem) {
      this.compared.replaceChildren(made("p", { role: "alert", textContent: problem.message }));
    }
  }

  async restore(revision) {
    try {
      if (!await this.view.draft.saving.all()) throw new Error(UNSAVED);
      await api(place(this.id, `revisions/${revision}/restore/`), { method: "POST", body: { revision: this.view.info.revision } });
      const now = await this.view.draft.fetched();
      this.list.closest("dialog")?.close();
      this.view.draft.take(now, now.segments);
      toast(`Version ${revision} is restored.`);
    } catch (problem) {
      this.compared.replaceChildren(made("p", { role: "alert", textContent: problem.message }));
    }
  }
}

// Segments beside those that they became, one to one where as many came as went.
const paired = (before, after) => (before.length === after.length ? before.map((one, at) => [[one], [after[at]]]) : [[before, after]]);

// What to show of pairs: other texts in full, other speakers and times as numbers.
function summary(pairs) {
  const texts = [], counts = new Map();
  for (const [before, after] of pairs) {
    if (wording(before) !== wording(after)) texts.push([before, after]);
    else {
      const change = names(before) !== names(after) ? `${names(before) || "No speaker"} → ${names(after) || "No speaker"}`
        : before.length !== after.length ? "Split or merged" : "Other times";
      counts.set(change, (counts.get(change) ?? 0) + Math.max(before.length, after.length));
    }
  }
  const others = [...counts].map(([change, count]) => made("p", { class: "hint", dir: "auto", textContent: `${change}: ${plural(count, "segment")}` }));
  const more = texts.length > SHOWN ? [made("p", { class: "hint", textContent: `And ${plural(texts.length - SHOWN, "place")} more.` })] : [];
  return [...others, ...texts.slice(0, SHOWN).map((pair) => difference(...pair)), ...more];
}

const wording = (segments) => segments.map(({ text }) => text).join(" ");
const names = (segments) => [...new Set(segments.map(({ speaker }) => speaker).filter(Boolean))].join(", ");

// Two texts as one, with what went and what came.
function difference(before, after) {
  const words = (segments) => segments.flatMap((segment) => (segment.words.length ? pieces(segment).map((one) => one.trim()) : segment.text.split(/\s+/)));
  const [one, two] = [words(before), words(after)], node = made("p", { dir: "auto" });
  let at = 0;
  for (const [from, to, first, last] of stretches(one, two).reverse()) {
    node.append(`${one.slice(at, from).join(" ")} `);
    if (to > from) node.append(made("del", { textContent: one.slice(from, to).join(" ") }), " ");
    if (last > first) node.append(made("ins", { textContent: two.slice(first, last).join(" ") }), " ");
    at = to;
  }
  node.append(one.slice(at).join(" "));
  if (names(before) !== names(after)) node.prepend(made("span", { class: "hint", textContent: `${names(before) || "No speaker"} → ${names(after) || "No speaker"}: ` }));
  return node;
}
