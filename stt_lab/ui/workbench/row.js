// A row of the Library's table: what a transcript is, with its title and tags edited in place.
import { api, place } from "./api.js";
import { button, clock, day, languageName, made, menu, toast } from "./dom.js";

const SHOWN = { queued: "Waiting", running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled" };
const TAGS = 20, TAG = 40, SPEAKERS = 3;

export class Row {
  constructor(info, library) {
    Object.assign(this, { info, library, id: info.id, edits: false });
    this.box = made("input", { type: "checkbox", "aria-label": `Select ${info.title}`, onchange: () => library.select() });
    this.titled = made("div", { class: "titled" });
    this.tagged = made("div", { class: "tags" });
    const speakers = info.speakers.slice(0, SPEAKERS).join(", ") + (info.speakers.length > SPEAKERS ? ` and ${info.speakers.length - SPEAKERS} more` : "");
    const more = button(`Actions for ${info.title}`, () => this.menu(more), { symbol: "more", bare: true, class: "more plain" });
    const error = info.error ? made("p", { class: "problem", textContent: info.error, dir: "auto" }) : null;
    const cell = (kind, ...parts) => made("td", { role: "cell", class: kind }, ...parts);
    this.node = made("tr", { role: "row", class: `row ${info.status}` },
      cell("check", this.box), cell("title", this.titled, this.tagged, error),
      cell("created", made("time", { dateTime: info.created, textContent: day(info.created) })),
      cell("duration", info.duration ? clock(info.duration) : ""),
      cell("language", languageName(info.language)), cell("speakers", made("span", { dir: "auto", textContent: speakers })),
      cell("status", this.state = made("span", { class: `state ${info.status}`, textContent: SHOWN[info.status] ?? info.status })), cell("actions", more));
    this.draw();
  }

  progress(job) {
    if (job?.status === "queued" && job.place) this.state.textContent = `Waiting, ${job.place}`;
    if (job?.status === "running") this.state.textContent = `${Math.round(job.percent)} %`;
    this.state.title = job?.status === "queued" ? "Place in the queue" : job?.stage ?? "";
  }

  get checked() {
    return this.box.checked;
  }

  check(on) {
    this.box.checked = on;
  }

  draw() {
    this.edits = false;
    const { info } = this;
    this.titled.replaceChildren(made("a", { class: "title", href: `#transcript/${this.id}`, textContent: info.title, dir: "auto" }),
      button("Rename", () => this.rename(), { symbol: "pen", bare: true, class: "plain pen" }),
      button("Edit tags", () => this.tags(), { symbol: "tag", bare: true, class: "plain pen" }));
    const tags = info.tags ?? [];
    this.tagged.replaceChildren(...tags.map((tag) => made("button", { type: "button", class: "chip", textContent: tag, dir: "auto", title: `Show all with the tag ${tag}`, onclick: () => this.library.set({ tag }) })));
  }

  menu(anchor) {
    const { library, id } = this;
    menu(anchor, "Actions", [
      ["Open", () => { location.hash = `transcript/${id}`; }], ["Rename", () => this.rename()], ["Edit tags", () => this.tags()],
      ["Download …", () => library.files(anchor, [id])], ["Delete", () => library.delete([id])],
    ]);
  }

  rename() {
    this.edit(this.titled, { value: this.info.title, "aria-label": "Title", maxLength: 255, dir: "auto" }, (title) => title && { title });
  }

  tags() {
    const values = { value: (this.info.tags ?? []).join(", "), "aria-label": "Tags, separated by commas", placeholder: "Tags, separated by commas", dir: "auto" };
    this.edit(this.tagged, values, (text) => {
      const tags = [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];
      if (tags.length > TAGS || tags.some((tag) => tag.length > TAG)) {
        toast(`A transcript has at most ${TAGS} tags of ${TAG} characters.`);
        return null;
      }
      return { tags };
    });
  }

  // Puts an input in the place of a part. Enter and leaving it save, Escape does not.
  edit(part, values, read) {
    this.edits = true;
    let done = false;
    const end = async (save) => {
      if (done) return;
      done = true;
      const change = save && input.value !== input.defaultValue ? read(input.value.trim()) : null;
      if (change) Object.assign(this.info, change);
      const focused = input.getRootNode().activeElement === input;
      this.draw();
      if (focused) part.querySelector("a, button")?.focus();
      if (change) await this.save(change);
    };
    const input = made("input", {
      class: "inline", onblur: () => end(true),
      onkeydown: (event) => {
        if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
        event.preventDefault();  // or Enter would also press what gets the focus
        end(event.key === "Enter");
      },
      ...values,
    });
    input.defaultValue = values.value;
    part.replaceChildren(input);
    input.focus();
    input.select();
  }

  async save(change) {
    try {
      await api(place(this.id), { method: "PATCH", body: change });
    } catch (problem) {
      toast(`This was not saved. ${problem.message}`);
      this.library.load(true);
    }
  }
}
