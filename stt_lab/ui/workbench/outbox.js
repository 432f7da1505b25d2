// Sends recordings: several files, whole folders, one upload at a time. A refused file keeps its sentence.
import { button, made, plural, select } from "./dom.js";

const AHEAD = 3;  // jobs of the account at once; further files wait in this page, so that the server's queue has room for others
const MOST = 1000;  // files of a folder
const AGAIN_MS = 5000, TRIES = 60;
const RECORDING = /\.(mp3|wav|flac|ogg|oga|m4a|aac|opus|wma|mp4|webm|mkv|avi|mov|wmv|mpg|mpeg|m4v|3gp)$/i;
const PLACE = "Account → Models";  // in the note about models
const CHOICE = "stt-transcribe-options";

export class Outbox {
  constructor(changed, sent) {
    Object.assign(this, { changed, sent, files: [], sending: null, ahead: AHEAD });
    this.refusals = made("ul");
    this.refused = made("div", { class: "refused", hidden: true, role: "alert" }, this.refusals, button("Dismiss", () => {
      this.refusals.replaceChildren();
      this.refused.hidden = true;
      changed();
    }, { class: "plain" }));
    this.warn = (event) => { if (this.waits) event.preventDefault(); };  // the browser asks before it leaves
    addEventListener("beforeunload", this.warn);
  }

  get waits() {
    return this.files.length > 0;
  }

  add(files, options) {
    this.files.push(...files.map((file) => ({ file, options, key: random(), state: "Waiting to be sent", tries: 0 })));
    if (globalThis.Notification?.permission === "default") Notification.requestPermission();
    this.changed();
    this.sent();
  }

  // Sends the next file, if the account has few jobs under way.
  async go(active) {
    const [next] = this.files;
    if (this.sending || !next || active >= this.ahead || Date.now() < (next.after ?? 0)) return;
    this.sending = next;
    const { status, body, retry } = await upload(next, (state) => { next.state = state; this.changed(); });
    this.sending = null;
    const later = [0, 429, 502, 503].includes(status) && !next.stopped && ++next.tries < TRIES;
    if (status === 429) this.ahead = Math.max(1, active);  // the account may have no more at once
    if (later) {
      next.after = Date.now() + Math.max(AGAIN_MS, 1000 * retry);
      next.state = body.error ? `${body.error} It is sent again by itself.` : "The server cannot be reached. It is sent again by itself.";
    } else {
      this.files = this.files.filter((one) => one !== next);
      if (status !== 202 && !next.stopped) this.refuse(next.file, body.error ?? `The server answered ${status}.`);
    }
    this.changed();
    this.sent();
  }

  refuse(file, sentence) {
    this.refusals.append(made("li", {}, made("b", { dir: "auto", textContent: file.name }), made("span", { dir: "auto", textContent: ` ${sentence}` })));
    this.refused.hidden = false;
  }

  rows() {
    return this.files.map((one) => made("li", { class: "job sending" },
      made("span", { class: "name", dir: "auto", textContent: one.file.name }), made("span", { class: "job-state", textContent: one.state }),
      made("progress", { max: 1, value: one.part ?? 0, "aria-label": `Sent of ${one.file.name}` }),
      button("Cancel", () => this.stop(one), { class: "plain" })));
  }

  stop(one) {
    one.stopped = true;
    one.request?.abort();
    this.files = this.files.filter((other) => other !== one);
    this.changed();
  }
}

// fetch does not say how much of an upload is sent.
function upload(one, show) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ ...one.options, background: "true" })) form.append(name, value);
  form.append("file", one.file, one.file.name);
  return new Promise((resolve) => {
    const request = one.request = new XMLHttpRequest();
    request.open("POST", new URL("v1/transcribe", document.baseURI));
    request.setRequestHeader("Idempotency-Key", one.key);  // sent again, it is the same job
    request.upload.onprogress = ({ loaded, total }) => {
      one.part = total ? loaded / total : 0;
      show(`Sending, ${Math.round(100 * one.part)} %`);
    };
    request.onloadend = () => resolve({ status: request.status, body: parsed(request.responseText), retry: Number(request.getResponseHeader("Retry-After") ?? 0) });
    request.send(form);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// Files of a drop, with those inside of folders. Resolves to the files, and how many of the folders' files are no recordings.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return { files: [...transfer.files], others: 0 };
  const files = [];
  for (const entry of entries) await walk(entry, files);
  return only(files);
}

async function walk(entry, files) {
  if (files.length >= MOST) return;
  if (entry.isFile) files.push(await new Promise((resolve, reject) => { entry.file(resolve, reject); }));
  if (!entry.isDirectory) return;
  const reader = entry.createReader();
  for (let batch = ["first"]; batch.length && files.length < MOST;) {
    batch = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });  // a hundred at a time
    for (const inner of batch) await walk(inner, files);
  }
}

// Of the files of a folder, those that are recordings by their names.
export function only(files) {
  const recordings = files.filter((file) => RECORDING.test(file.name)).slice(0, MOST);
  return { files: recordings, others: files.length - recordings.length };
}

// The form with which recordings are added; `take` gets the files and the options of their transcription.
export class AddForm {
  constructor(take) {
    const chosen = (event) => { this.given(event.target.webkitdirectory ? only([...event.target.files]) : { files: [...event.target.files], others: 0 }); event.target.value = ""; };
    const files = made("input", { type: "file", multiple: true, accept: "audio/*,video/*", hidden: true, onchange: chosen, class: "add-files" });
    const folder = made("input", { type: "file", webkitdirectory: true, hidden: true, onchange: chosen, class: "add-folder" });
    this.take = take;
    this.said = made("span", { class: "add-said", role: "status" });
    this.note = made("p", { class: "soft model-note" });
    this.values = stored();
    this.model = select([["", "Default model"]], "", (model) => this.keep({ model }), { "aria-label": "Model" });
    this.language = select([["", "Detect language"]], "", (language) => this.keep({ language }), { "aria-label": "Spoken language" });
    const counts = [["", "Detect speakers"], ["none", "No speakers"], ...Array.from({ length: 10 }, (_, at) => [`${at + 1}`, plural(at + 1, "speaker")])];
    this.speakers = select(counts, this.values.speakers ?? "", (speakers) => this.keep({ speakers }), { "aria-label": "Number of speakers" });
    this.node = made("div", { class: "add" },
      button("Add recordings", () => files.click(), { class: "primary add-button" }), button("Add a folder", () => folder.click(), { class: "plain" }),
      this.model, this.language, this.speakers, this.said, this.note, files, folder);
  }

  // The installed models and the languages, for the choices, and which model answers if none is chosen.
  fill({ models: all, default: usual, note }, languages) {
    const models = all.filter((model) => model.available), answers = models.find(({ id }) => id === usual);
    if (answers) this.model.options[0].textContent = `Default: ${answers.name ?? answers.id}`;
    const [said, after] = (note ?? "").split(PLACE);
    this.note.replaceChildren(said, ...(after === undefined ? [] : [made("a", { href: "#account", textContent: PLACE }), after]));
    for (const { id, name } of models) this.model.append(made("option", { value: id, textContent: name ?? id }));
    for (const [text, code] of languages) this.language.append(made("option", { value: code, textContent: text }));
    this.model.value = models.some(({ id }) => id === this.values.model) ? this.values.model : "";
    this.language.value = languages.some(([, code]) => code === this.values.language) ? this.values.language : "";
  }

  given({ files, others }) {
    this.said.textContent = others ? `${plural(others, "file")} of the folder left out: no recordings, or more than ${MOST}.` : "";
    if (files.length) this.take(files, this.options());
    else if (!others) this.said.textContent = "There is no file. Choose recordings, or a folder with recordings.";
  }

  options() {
    const { value } = this.speakers, made = {};
    if (this.model.value) made.model = this.model.value;
    if (this.language.value) made.language = this.language.value;
    if (value === "none") made.diarize = "false";
    else if (value) made.speakers = value;
    return made;
  }

  keep(change) {
    Object.assign(this.values, change);
    try {
      localStorage.setItem(CHOICE, JSON.stringify(this.values));
    } catch { /* a browser without storage asks again next time */ }
  }
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(CHOICE) ?? "{}");
  } catch {
    return {};
  }
}
