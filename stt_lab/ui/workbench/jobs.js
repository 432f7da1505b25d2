// The jobs above the Library's list: recordings that this page sends, and all jobs of the account, from wherever they came.
import { api } from "./api.js";
import { button, clock, made, toast } from "./dom.js";
import { Outbox } from "./outbox.js";

const POLL_MS = 1000, MOST = 50, SHOWN_FOR_MS = 24 * 3600 * 1000, DISMISSED = "stt-dismissed-jobs", MOST_DISMISSED = 300;
const ACTIVE = ["queued", "running"];
const STAGES = {
  queued: "Waiting", decoding: "Reading the file", loading: "Loading the model", transcribing: "Transcribing",
  diarizing: "Finding the speakers", checking: "Checking for missed words", joining: "Joining words and speakers",
  reading: "Reading the text", writing: "Writing", translating: "Translating", enhancing: "Removing noise", speaking: "Speaking", downloading: "Downloading",
};
const NAMES = {
  transcribe: "", stream: "Live speech", enhance_audio: "Clean audio", tts: "Speech in a voice", pull_model: "Download of a model",
  diarize_transcript: "Find the speakers again, transcript", transcribe_transcript: "Transcribe again, transcript",
};

class Jobs {
  constructor() {
    this.seen = new Map();  // id -> status
    this.found = [];
    this.outbox = new Outbox(() => this.draw(), () => this.load());
    this.list = made("ul", { class: "jobs-list" });
    this.node = made("section", { class: "jobs", "aria-label": "Jobs", hidden: true },
      made("h2", { textContent: "Jobs" }), this.list, this.outbox.refused);
  }

  // Calls `looked` after each look, and `news` when a job has begun or ended; replaces earlier listeners.
  listen(looked, news) {
    Object.assign(this, { looked, news });
    return this.load();
  }

  get active() {
    return this.found.filter((job) => ACTIVE.includes(job.status));
  }

  // Looks at the account's jobs; again and again while one is active or a file waits, whatever place is shown.
  async load() {
    clearTimeout(this.timer);
    try {
      this.found = (await api("v1/jobs", { query: { limit: MOST } })).results;
      this.compare();
      this.outbox.go(this.active.length);
    } catch (problem) {
      if (problem.status && problem.status !== 429 && problem.status < 500) throw problem;  // while the server is away, it asks again
    }
    this.draw();
    this.looked?.();
    clearTimeout(this.timer);
    if (this.active.length || this.outbox.waits) this.timer = setTimeout(() => this.load().catch(() => {}), POLL_MS);
  }

  // Says which jobs have begun or ended since the last look.
  compare() {
    const first = !this.seen.size;
    let news = false;
    for (const job of this.found) {
      const before = this.seen.get(job.id);
      this.seen.set(job.id, job.status);
      if (before === job.status || first) continue;
      news = true;
      if (job.status === "done" && before) this.notify(job);
    }
    if (news) this.news?.();
  }

  notify(job) {
    const said = `${job.filename || NAMES[job.operation] || "A job"} is done.`;
    const hash = `#transcript/${job.transcript_id}`, close = toast(said, job.transcript_id ? "Open" : "", () => { location.hash = hash; });
    addEventListener("hashchange", () => { if (location.hash === hash) close(); }, { once: true });  // it has been opened
    if (document.hidden && globalThis.Notification?.permission === "granted") new Notification(said);
  }

  draw() {
    const dismissed = read();
    const shown = this.found.filter((job) => ACTIVE.includes(job.status)
      || (!dismissed.includes(job.id) && job.status !== "cancelled" && Date.now() - new Date(job.finished) < SHOWN_FOR_MS));
    const rows = [...this.outbox.rows(), ...shown.map((job) => this.row(job))];
    this.list.replaceChildren(...rows);
    this.node.hidden = !rows.length && this.outbox.refused.hidden;
  }

  row(job) {
    const name = [NAMES[job.operation] ?? job.operation, job.filename || job.about].filter(Boolean).join(": ") || "Recording";
    const live = ACTIVE.includes(job.status);
    const parts = [made("span", { class: "name", dir: "auto", textContent: name }), made("span", { class: "job-state", textContent: state(job) })];
    if (live) {
      parts.push(made("progress", { max: 100, value: job.percent, "aria-label": `${name}: ${state(job)}` }));
      parts.push(button("Cancel", () => this.cancel(job), { class: "plain" }));
    } else {
      if (job.transcript_id && job.status === "done") parts.push(made("a", { href: `#transcript/${job.transcript_id}`, textContent: "Open" }));
      parts.push(button(`Dismiss ${name}`, () => { dismiss(job.id); this.draw(); }, { symbol: "close", bare: true, class: "plain" }));
    }
    if (job.error) parts.push(made("p", { class: "problem", role: "alert", dir: "auto", textContent: job.error.error }));
    if (live && job.text) parts.push(made("p", { class: "so-far", dir: "auto", textContent: job.text }));
    return made("li", { class: `job ${job.status}` }, ...parts);
  }

  async cancel(job) {
    try {
      await api(`v1/jobs/${job.id}`, { method: "DELETE" });
    } catch (problem) {
      toast(problem.message);
    }
    await this.load();
  }
}

export const jobs = new Jobs();

const seconds = (from, to) => Math.max(0, (new Date(to) - new Date(from)) / 1000);

function state(job) {
  if (job.status === "queued") return job.place ? `Waiting, place ${job.place} in the queue` : "Waiting";
  if (job.status === "failed") return "Failed";
  if (job.status === "running" && job.stage === "queued") return "Waiting for the device";
  if (job.status === "done") {
    const worked = seconds(job.created, job.finished) - job.waited_s - job.loading_s;
    return `Done: waited ${clock(job.waited_s)}, loaded models ${clock(job.loading_s)}, worked ${clock(worked)}`;
  }
  const left = job.eta_s === null ? "" : `, about ${clock(job.eta_s)} left`;
  return `${STAGES[job.stage] ?? job.stage}, ${Math.round(job.percent)} %${left}`;
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(DISMISSED) ?? "[]");
  } catch {
    return [];
  }
}

function dismiss(id) {
  try {
    localStorage.setItem(DISMISSED, JSON.stringify([...read(), id].slice(-MOST_DISMISSED)));
  } catch { /* a browser without storage forgets it */ }
}
