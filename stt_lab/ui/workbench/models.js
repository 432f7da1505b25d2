// Models and data of the installation, in the account place.
import { api } from "./api.js";
import { button, day, dialog, languageName, made, plural, toast } from "./dom.js";
import { size, table } from "./figures.js";

const POLL_MS = 1000, SPEECH = "transcribe";
const TASKS = {
  transcribe: "Speech to text", diarize: "Who speaks when", embed_speaker: "Voices of speakers", hear_turn: "End of a turn",
  enhance: "Cleaner sound", speak: "Text to speech", vocode: "Sound of speech", embed_voice: "Voices of references",
  stock_voices: "Stock voices", embed: "Search by meaning", read: "Answers from a text", translate: "Translation",
  parse: "Grammar and names", pii: "Personal data", write: "Writing",
};

export class Models {
  constructor(admin) {
    Object.assign(this, { admin, title: "Models", node: made("div"), jobs: new Map() });
  }

  async open() {
    if (this.admin) {
      await this.load();
      await this.follow();
    } else {
      const { models, default: usual } = await api("v1/models");
      this.node.replaceChildren(table(["Model", "Languages", "Licence", ""], models.map((one) => [
        named(one.name, one.id), `${one.languages}`, one.license, one.available ? (one.id === usual ? "installed, default" : "installed") : "not installed",
      ])));
    }
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }

  async load() {
    const { results } = await api("models/"), heard = results.filter(({ task }) => task === SPEECH);
    const speech = heard.map((one) => [
      named(one.name, one.id), languages(one), size(one.size_mb), one.license, errors(one), speed(one), this.state(one), this.acts(one),
    ]);
    const others = results.filter(({ task }) => task !== SPEECH).map((one) => [
      named(one.name, one.id), TASKS[one.task] ?? one.task, languages(one), size(one.size_mb), one.license, this.state(one), this.acts(one),
    ]);
    this.node.replaceChildren(
      made("h3", { textContent: TASKS[SPEECH] }), table(["Model", "Languages", "Size", "Licence", "Wrong words (WER)", "Speed here", "", ""], speech, true),
      made("p", { class: "soft" }, "Errors are those of evaluations, by word, with their 95 % interval; they can be compared only over the same recordings. The ", made("a", { href: "#lab", textContent: "Lab" }), " measures them over your own."),
      made("h3", { textContent: "Other tasks" }), table(["Model", "Task", "Languages", "Size", "Licence", "", ""], others, true));
  }

  state(one) {
    const job = this.jobs.get(one.id);
    if (job) return made("progress", { max: 100, value: job.percent, "aria-label": `Download of ${one.id}: ${Math.round(job.percent)} %` });
    if (one.problem) return made("span", { class: "soft", title: one.problem, textContent: "off: licence" });
    return made("span", { class: one.installed ? "" : "soft", textContent: [one.installed ? "installed" : "not installed", one.default && "default", one.chosen && "chosen"].filter(Boolean).join(", ") });
  }

  acts(one) {
    const job = this.jobs.get(one.id);
    if (job) return button("Cancel", () => this.act(() => api(`v1/jobs/${job.id}`, { method: "DELETE" })), { class: "plain" });
    const acts = [];
    if (!one.installed && !one.problem) acts.push(button("Download", () => this.pull(one), { "aria-label": `Download ${one.id}` }));
    if (one.chosen) acts.push(button("Choose automatically", () => this.choose(one, false), { class: "plain" }));
    else if (one.task === SPEECH && one.installed) acts.push(button("Use as default", () => this.choose(one, true), { "aria-label": `Use ${one.id} as default` }));
    if (one.removable) acts.push(button(`Delete ${one.id}`, () => this.remove(one), { symbol: "bin", bare: true, class: "plain" }));
    return acts.length ? made("span", { class: "acts" }, ...acts) : "";
  }

  choose(one, chosen) {
    return this.act(() => api(`models/${one.id}/`, { method: "PATCH", body: { default: chosen } }));
  }

  pull(one) {
    return this.act(() => api(`models/${one.id}/`, { method: "POST", body: { background: true } }));
  }

  async remove(one) {
    const said = made("p", { textContent: `Its ${size(one.size_mb)} can be downloaded again.` });
    if (await dialog(`Delete the model ${one.id}?`, said, [["Keep it", ""], ["Delete", "delete"]]) !== "delete") return;
    await this.act(() => api(`models/${one.id}/`, { method: "DELETE" }));
  }

  async act(request) {
    try {
      await request();
    } catch (problem) {
      toast(problem.message);
    }
    await this.follow();
  }

  // Follows downloads, also those that began before the page was opened.
  async follow() {
    clearTimeout(this.timer);
    const { results } = await api("v1/jobs", { query: { limit: 50 } });
    const pulls = results.filter((job) => job.operation === "pull_model");
    const before = this.jobs;
    this.jobs = new Map(pulls.filter((job) => ["queued", "running"].includes(job.status)).map((job) => [job.about, job]));
    for (const job of pulls) {
      if (before.get(job.about)?.id === job.id && job.error) toast(job.error.error, "", null, 15);
    }
    await this.load();
    if (this.jobs.size && !this.closed) this.timer = setTimeout(() => this.follow().catch(() => {}), POLL_MS);
  }
}

export class Stored {
  constructor() {
    Object.assign(this, { title: "Data on this server", node: made("div") });
  }

  async open() {
    const { places, free_mb: free, retention_days: days, keep_audio: audio } = await api("storage/");
    const what = audio ? "Transcripts and their recordings" : "Recordings are not kept. Transcripts";
    const kept = days ? `${what} are deleted ${plural(days, "day")} after they were made.` : `${what} stay until somebody deletes them.`;
    this.node.replaceChildren(
      table(["", "Size", "Files", "Setting"], places.map((one) => [one.kind, size(one.mb), one.files.toLocaleString("en"), made("code", { textContent: one.setting })])),
      made("p", { class: "soft" }, `${size(free)} are free. ${kept} The settings `, made("code", { textContent: "STT_LAB_RETENTION_DAYS" }), " and ", made("code", { textContent: "STT_LAB_KEEP_AUDIO" }), " change that."));
  }
}

function languages({ languages: count, task }) {
  if (!count) return "";
  return count === 1 && task === SPEECH ? "English" : `${count}`;
}

// How many words it gets wrong, over which recordings.
function errors({ measured }) {
  if (!measured.length) return worth([made("span", { class: "soft" }, "Not measured here. ", made("a", { href: "#lab", textContent: "Measure it" }))]);
  const lines = measured.map(({ wer, low, high, words, languages: codes, recordings }) => {
    const range = low === null ? "" : ` (${percent(low)} to ${percent(high)})`, heard = codes.length === 1 ? languageName(codes[0]) : codes.length ? plural(codes.length, "language") : "";
    return made("span", { title: codes.map(languageName).join(", ") }, `${percent(wer)} %${range} `, made("small", { textContent: [heard, plural(words, "word"), plural(recordings, "recording")].filter(Boolean).join(", ") }));
  });
  const { here, run, dataset, made: when } = measured[0];
  return worth([...lines, made("small", { textContent: here ? `Run “${run}” here, ${day(when)}` : "Measured by the project", title: `${dataset}, ${run}` })]);
}

// How long it takes for an hour of sound.
function speed({ rtf, rtf_recordings: count }) {
  if (rtf === null) return worth([made("span", { class: "soft", textContent: "Not measured yet" }), made("small", { textContent: "Known after its first recording" })]);
  return worth([made("span", { textContent: `RTF ${rtf.toLocaleString("en", { maximumSignificantDigits: 2 })}` }), made("small", { textContent: `An hour takes ${spell(rtf * 60)}; ${plural(count, "recording")}` })]);
}

function spell(minutes) {
  return minutes >= 90 ? `${(minutes / 60).toFixed(1)} hours` : minutes >= 1.5 ? `${Math.round(minutes)} minutes` : `${Math.round(minutes * 60)} seconds`;
}

function percent(share) {
  return (100 * share).toFixed(1);
}

function worth(lines) {
  return made("div", { class: "worth" }, ...lines);
}

function named(name, id) {
  return made("span", {}, made("b", { textContent: name }), made("code", { textContent: id }));
}
