// The Library place: list and search, filters in the address, and what one does with several transcripts.
import { api, download, FORMATS, place } from "./api.js";
import { button, clock, day, languageName, made, marked, menu, plural, select, toast } from "./dom.js";
import { jobs } from "./jobs.js";
import { AddForm, dropped } from "./outbox.js";
import { Row } from "./row.js";

const PAGE = 50, SEARCH_MS = 300, AGAIN_MS = 1000, UNDO_S = 6;
const STATUSES = [["", "Any status"], ["done", "Done"], ["running", "Running"], ["queued", "Waiting"], ["failed", "Failed"], ["cancelled", "Cancelled"]];
const COLUMNS = [["title", "Title"], ["created", "Created"], ["duration", "Length"], ["", "Language"], ["", "Speakers"], ["", "Status"]];
const MODES = [["words", "By words"], ["meaning", "By meaning"]];

const doomed = new Map();  // transcripts that are deleted soon: number -> timer

addEventListener("pagehide", () => {
  for (const id of [...doomed.keys()]) remove(id);
});

async function remove(id) {
  clearTimeout(doomed.get(id));
  await api(place(id), { method: "DELETE", keepalive: true });
  doomed.delete(id);
}

export class Library {
  constructor(app, query, id, fail) {
    Object.assign(this, { app, state: query, fail, chosen: new Set(), rows: [], count: 0 });
  }

  address() {
    return `library${this.state.size ? `?${this.state}` : ""}`;
  }

  async open() {
    this.draw();
    await Promise.all([this.load(), jobs.listen(() => this.progress(), () => this.again()).catch(() => { this.add.node.hidden = true; })]);
    const models = await api("v1/models").catch(() => ({ models: [] }));
    const { languages } = await api("v1/languages").catch(() => ({ languages: [] }));
    const options = languages.map(({ code }) => [languageName(code), code]).sort();
    for (const [text, value] of options) this.language.append(made("option", { value, textContent: text }));
    this.add.fill(models, options);
    this.fill();
  }

  changed(query) {
    if (`${query}` === `${this.state}`) return;
    this.state = query;
    this.fill();
    this.load();
  }

  close() {
    this.closed = true;
    clearTimeout(this.typing);
    clearTimeout(this.poll);
    this.asked?.abort();
  }

  // Changes the address. Every change but that of the page begins at the first page.
  set(values, replaced = false) {
    if (this.typing) values = { query: this.query.value.trim(), ...values };
    clearTimeout(this.typing);
    this.typing = null;
    const state = new URLSearchParams(this.state);
    for (const [name, value] of Object.entries({ offset: "", ...values })) value ? state.set(name, value) : state.delete(name);
    this.state = state;
    history[replaced ? "replaceState" : "pushState"](null, "", `#${this.address()}`);
    this.fill();
    this.load();
  }

  get(name) {
    return this.state.get(name) ?? "";
  }

  draw() {
    this.query = made("input", {
      type: "search", class: "query", placeholder: "Search titles, speakers and texts", "aria-label": "Search", maxLength: 500,
      oninput: () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.set({}, true), SEARCH_MS);
      },
    });
    this.mode = select(MODES, "words", (value) => this.set({ mode: value === "words" ? "" : value }), { "aria-label": "How to search" });
    this.status = select(STATUSES, "", (status) => this.set({ status }), { "aria-label": "Status" });
    this.language = select([["", "Any language"]], "", (language) => this.set({ language }), { "aria-label": "Language" });
    this.tag = made("input", { placeholder: "Tag", "aria-label": "Tag", maxLength: 40, class: "tag-filter", onchange: () => this.set({ tag: this.tag.value.trim() }) });
    this.tags = made("datalist", { id: "tags" });
    this.tag.setAttribute("list", "tags");
    this.filters = made("div", { class: "filters" }, this.status, this.language, this.tag, this.tags);
    this.said = made("p", { class: "count", role: "status" });
    this.bar = made("div", { class: "selection", hidden: true, role: "region", "aria-label": "Selected transcripts" });
    this.body = made("div", { class: "list", "aria-busy": "true" }, made("p", { class: "loading", textContent: "Loading …" }));
    this.pager = made("nav", { class: "pager", "aria-label": "Pages" });
    const search = made("search", { class: "search" }, this.query, this.mode);
    this.add = new AddForm((files, options) => jobs.outbox.add(files, options));
    const parts = [this.add.node, jobs.node, made("div", { class: "controls" }, search, this.filters), this.said, this.bar, this.body, this.pager];
    this.app.replaceChildren(made("div", { class: "library", ...this.target() }, ...parts));
    this.fill();
  }

  // Recordings may be dropped anywhere in the Library.
  target() {
    const over = (on) => ({ currentTarget }) => currentTarget.classList.toggle("over", on);
    return {
      ondragover: (event) => { if (event.dataTransfer.types.includes("Files")) { event.preventDefault(); over(true)(event); } },
      ondragleave: (event) => { if (!event.currentTarget.contains(event.relatedTarget)) over(false)(event); },
      ondrop: async (event) => {
        event.preventDefault();
        over(false)(event);
        this.add.given(await dropped(event.dataTransfer));
      },
    };
  }

  fill() {
    if (document.activeElement?.shadowRoot?.activeElement !== this.query) this.query.value = this.get("query");
    this.mode.value = this.get("mode") || "words";
    this.mode.hidden = !this.get("query");
    this.filters.hidden = Boolean(this.get("query"));
    for (const name of ["status", "language", "tag"]) this[name].value = this.get(name);
  }

  async load(quiet = false) {
    clearTimeout(this.poll);
    this.asked?.abort();
    const { signal } = this.asked = new AbortController();
    if (!quiet) this.body.setAttribute("aria-busy", "true");
    try {
      const page = await api(this.get("query") ? "search/" : "transcripts/", { query: this.wanted(), signal });
      if (this.closed) return;
      this.body.setAttribute("aria-busy", "false");
      this.show(page);
      this.progress();
    } catch (problem) {
      if (problem.name === "AbortError" || this.closed) return;
      if (!quiet) return this.fail(problem, this);
    }
  }

  wanted() {
    const paged = { limit: PAGE, offset: this.get("offset") };
    if (this.get("query")) return { query: this.get("query"), mode: this.get("mode"), ...paged };
    return { status: this.get("status"), language: this.get("language"), tag: this.get("tag"), sort: this.get("sort"), ...paged };
  }

  show({ count, results, warnings = [] }) {
    this.count = count;
    results = results.filter((one) => !doomed.has(one.id));
    const found = this.get("query");
    this.said.textContent = [results.length || found ? plural(count, found ? "result" : "transcript") : "", ...warnings].filter(Boolean).join(". ");
    if (!results.length) this.empty();
    else if (found) this.found(results);
    else this.table(results);
    this.paging();
    this.select();
  }

  empty() {
    this.rows = [];
    const filtered = this.state.size > 0;
    const text = filtered ? "Nothing matches." : "No transcripts yet. Add recordings or folders, or drop them here.";
    const act = filtered ? button("Show all transcripts", () => { this.query.value = ""; this.state = new URLSearchParams(); this.set({}); })
      : button("Try it with an example", () => this.example());
    this.body.replaceChildren(made("div", { class: "empty" }, made("p", { textContent: text }), act));
  }

  async example() {
    const sound = await fetch(new URL("example.ogg", import.meta.url)).then((answer) => answer.blob());
    jobs.outbox.add([new File([sound], "Example.ogg", { type: "audio/ogg" })], {});
  }

  found(results) {
    this.rows = [];
    const list = made("ol", { class: "found" });
    for (const one of results) {
      const at = one.start_time ?? null, href = `#transcript/${one.id}${at === null ? "" : `?t=${at}`}`;
      const facts = made("p", { class: "facts" }, made("span", { textContent: day(one.created) }), at === null ? null : made("span", { textContent: `at ${clock(at)}` }));
      list.append(made("li", {}, made("a", { href, textContent: one.title, dir: "auto" }), facts, made("p", { dir: "auto", class: "snippet" }, ...marked(one.snippet))));
    }
    this.body.replaceChildren(list);
  }

  table(results) {
    const all = made("input", {
      type: "checkbox", "aria-label": "Select all on this page",
      onchange: () => { for (const row of this.rows) row.check(all.checked); this.select(); },
    });
    const head = made("tr", { role: "row" }, made("th", { role: "columnheader", class: "check" }, all));
    for (const [key, text] of COLUMNS) head.append(this.column(key, text));
    head.append(made("th", { role: "columnheader" }, made("span", { class: "unseen", textContent: "Actions" })));
    this.rows = results.map((one) => new Row(one, this));
    const kept = new Set(this.rows.map((row) => row.id));
    this.chosen = new Set([...this.chosen].filter((id) => kept.has(id)));
    for (const row of this.rows) row.check(this.chosen.has(row.id));
    const body = made("tbody", { role: "rowgroup" }, ...this.rows.map((row) => row.node));
    const table = made("table", { role: "table", "aria-label": "Transcripts" }, made("thead", { role: "rowgroup" }, head), body);
    const keep = this.focused();
    this.body.replaceChildren(table);
    this.all = all;
    this.rows.find((row) => row.id === keep?.id)?.node.querySelector(keep.what)?.focus();
    const tags = new Set(results.flatMap((one) => one.tags ?? []));
    this.tags.replaceChildren(...[...tags].sort().map((value) => made("option", { value })));
  }

  // The row and the element that has the focus, so that a refresh does not take it away.
  focused() {
    const node = this.body.getRootNode().activeElement, row = this.rows?.find((one) => one.node.contains(node));
    const what = ["a.title", ".more", ".check input"].find((one) => node?.matches(one));
    return row && what ? { id: row.id, what } : null;
  }

  column(key, text) {
    const now = this.get("sort") || "-created", sorted = now.replace("-", "") === key && key;
    const head = made("th", { role: "columnheader", scope: "col", class: key || text.toLowerCase() });
    if (!key) head.append(text);
    else {
      const down = now.startsWith("-"), next = sorted ? (down ? key : `-${key}`) : key === "title" ? key : `-${key}`;
      head.append(button(text, () => this.set({ sort: next === "-created" ? "" : next }), { class: `sort${sorted ? (down ? " down" : " up") : ""}` }));
      if (sorted) head.setAttribute("aria-sort", down ? "descending" : "ascending");
    }
    return head;
  }

  paging() {
    const offset = Number(this.get("offset")) || 0, last = Math.min(this.count, offset + PAGE);
    this.pager.hidden = this.count <= PAGE && !offset;
    const step = (text, to, off) => button(text, () => this.set({ offset: to > 0 ? `${to}` : "" }), { disabled: off });
    this.pager.replaceChildren(step("Previous", offset - PAGE, offset <= 0), made("span", { textContent: `${offset + 1}–${last} of ${this.count}` }), step("Next", offset + PAGE, last >= this.count));
  }

  // Says how far work in progress is.
  progress() {
    for (const row of this.rows) row.progress(jobs.active.find((job) => job.transcript_id === row.id));
  }

  // Loads the list again, unless somebody is typing in it; then later.
  again() {
    clearTimeout(this.poll);
    if (this.closed) return;
    const typing = this.rows.some((row) => row.edits) || this.body.getRootNode().querySelector(".menu");
    if (typing) this.poll = setTimeout(() => this.again(), AGAIN_MS);
    else this.load(true);
  }

  // Selection

  select() {
    this.chosen = new Set(this.rows.filter((row) => row.checked).map((row) => row.id));
    const count = this.chosen.size;
    if (this.all) {
      this.all.checked = count > 0 && count === this.rows.length;
      this.all.indeterminate = count > 0 && count < this.rows.length;
    }
    this.bar.hidden = !count;
    if (!count) return;
    const ids = [...this.chosen];
    const files = button("Download", ({ currentTarget }) => this.files(currentTarget, ids), { symbol: "down" });
    this.bar.replaceChildren(made("strong", { textContent: `${count} selected`, role: "status" }), files,
      button("Delete", () => this.delete(ids), { symbol: "bin" }),
      button("Clear", () => { for (const row of this.rows) row.check(false); this.select(); }, { class: "plain" }));
  }

  files(anchor, ids) {
    menu(anchor, "Download as", FORMATS.map(([format, text]) => [text, () => download(ids, format)]));
  }

  // Deletes after some seconds, in which it can be undone.
  delete(ids) {
    const names = ids.length === 1 ? `“${this.rows.find((row) => row.id === ids[0])?.info.title ?? ids[0]}”` : plural(ids.length, "transcript");
    const close = toast(`Deleted ${names}.`, "Undo", () => {
      for (const id of ids) {
        clearTimeout(doomed.get(id));
        doomed.delete(id);
      }
      this.load();
    }, UNDO_S);
    for (const id of ids) doomed.set(id, setTimeout(() => { close(); this.gone(id); }, UNDO_S * 1000));
    for (const row of this.rows) row.check(false);
    this.show({ count: this.count - ids.length, results: this.rows.map((row) => row.info) });
  }

  async gone(id) {
    try {
      await remove(id);
    } catch (problem) {
      doomed.delete(id);
      if (problem.status === 404) return;
      toast(`A transcript was not deleted. ${problem.message}`);
      if (!this.closed) this.load(true);
    }
  }
}
