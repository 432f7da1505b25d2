// The segments of a transcript while they are edited: undo and redo, saving, and what happens when somebody else edits.
import { api, place, Problem } from "./api.js";
import { day, dialog, made, plural, toast } from "./dom.js";
import { kept, keptOf, Saving } from "./saving.js";
import { apply, contained, difference, digest, reapplied, same } from "./segments.js";

const STEPS = 200, AGAIN_MS = 5000;
const STATES = { saved: "Saved", saving: "Saving …", typing: "Saving …", offline: "Offline: kept in this browser", conflict: "Not saved" };

const titles = (edits) => edits.filter(({ op }) => op === "title");

// A segment with the confidences of words that it shares with an earlier one; answers to edits have none.
function confident(segment, before) {
  const known = before?.words ?? [];
  return { ...segment, words: segment.words.map((word, at) => (known[at]?.word === word.word && !word.corrected ? { ...word, confidence: known[at].confidence } : word)) };
}

export class Draft {
  // `view` has functions: shown() for other segments, state(name, text, hint), reload(), and a flag `busy` while a text is edited.
  constructor(info, view) {
    Object.assign(this, { info, view, segments: info.segments, base: info.segments, past: [], future: [] });
    this.saving = new Saving(info.id, info.revision, {
      state: (name, hint) => view.state(name, STATES[name], hint), saved: (answer) => this.saved(answer),
      conflict: (problem) => this.conflict(problem), digest: () => digest(this.segments),
    });
  }

  // Makes edits; `recorded` makes them a step of undo.
  change(edits, recorded = true) {
    if (!edits.length) return;
    const before = this.segments;
    this.segments = apply(before, edits);
    if (recorded) this.record(before, edits);
    this.saving.add(edits);
  }

  edit(edits) {
    this.change(edits);
    this.view.shown();
  }

  record(before, edits = []) {
    if (before === this.segments) return;
    this.past.push({ segments: before, edits });
    if (this.past.length > STEPS) this.past.shift();
    this.future = [];
  }

  undo() {
    this.step(this.past, this.future);
  }

  redo() {
    this.step(this.future, this.past);
  }

  step(from, to) {
    const entry = from.pop();
    if (!entry) return;
    const renamed = entry.edits.length === 1 && entry.edits[0].op === "rename" ? entry.edits[0] : null;
    const edits = renamed ? [{ op: "rename", from: renamed.into, into: renamed.from }] : difference(this.segments, entry.segments);
    to.push({ segments: this.segments, edits: renamed ? edits : [] });
    this.change(edits, false);
    this.view.shown();
  }

  // Takes the server's times and words, unless something changed since.
  saved(answer) {
    this.answer = answer;
    Object.assign(this.info, { title: answer.title, revision: answer.revision, unrecognized: answer.unrecognized });
    this.settle();
  }

  settle() {
    const { answer } = this;
    if (!answer || this.view.busy || !this.saving.idle) return;
    this.answer = null;
    const mine = this.segments;
    this.base = this.segments = answer.segments.map((one, at) => (mine[at] && same(one, mine[at]) ? mine[at] : confident(one, mine[at])));
    if (mine.length !== this.segments.length || this.segments.some((one, at) => one !== mine[at])) this.view.shown();
  }

  // Somebody else changed the transcript, or the server refused: nothing is overwritten, and nothing is lost unasked.
  async conflict(problem) {
    this.view.state("conflict", STATES.conflict, problem.message);
    let theirs, base;
    try {
      theirs = await this.fetched();
      base = problem.status === 409 ? await this.revision(this.saving.revision) : null;
    } catch (other) {
      this.view.state("conflict", STATES.conflict, other.message);
      if (other.status !== 404) setTimeout(() => this.view.closed || this.conflict(problem), AGAIN_MS);
      return;
    }
    if (this.view.closed) return;
    const edits = this.saving.waiting, count = base ? contained(base, edits, theirs.segments) : null;
    if (count !== null) return this.resend(theirs, edits.slice(count));  // an answer was lost, or only a title or tags changed
    if (base && this.earlier(base, theirs.segments) && this.join(base, theirs)) return;
    this.view.editor.end();  // what is being typed takes part
    const decided = await this.decide(problem, theirs, base ?? theirs.segments, this.segments, this.saving.waiting.length);
    if (!decided) this.view.undecided(() => this.conflict(problem));
  }

  // Whether an earlier visit made the change: a page that is closed or loaded again still sends its last edits.
  earlier(base, theirs) {
    return keptOf(this.info.id, this.saving.key).some(({ revision, edits }) => revision === this.saving.revision && contained(base, edits, theirs) > 0);
  }

  // Goes on from the server's transcript if what both changed does not meet; returns whether.
  join(base, theirs) {
    const { editor } = this.view;
    editor.commit();
    if (editor.emptied) return false;
    const { made: joined, lost } = reapplied(base, this.segments, theirs.segments);
    if (!lost.length) editor.around(() => this.take(theirs, joined, titles(this.saving.waiting)));
    return !lost.length;
  }

  fetched() {
    return api(place(this.info.id), { query: { verbose: true } });
  }

  // The segments of a revision, or undefined if it is not kept any more.
  async revision(number) {
    try {
      return (await api(place(this.info.id, `revisions/${number}/`))).segments;
    } catch (problem) {
      if (problem.status !== 404) throw problem;
    }
  }

  // The dialog opens at once, so that nobody types meanwhile.
  async decide(problem, theirs, base, mine, count) {
    const { made: joined, lost } = reapplied(base, mine, theirs.segments), said = made("p");
    const rest = `${count === 1 ? "An edit" : plural(count, "edit")} of yours ${count === 1 ? "is" : "are"} not saved.`;
    const content = [said];
    if (problem.status === 409) this.changed().then((who) => { said.textContent = `${who} ${rest}`; });
    else said.textContent = `The server did not take an edit: ${problem.message} ${rest}`;
    if (lost.length) {
      content.push(made("p", { class: "hint", textContent: "These segments were changed by both. They stay as they are on the server; copy from here what you need:" }),
        made("textarea", { readOnly: true, rows: 5, value: lost.map(({ text }) => text).join("\n\n"), "aria-label": "Your text" }));
    }
    const answer = await dialog("Two versions", content, [["Drop my edits", "drop"], ["Apply mine again", "again"]]);
    if (answer === "drop") this.take(theirs, theirs.segments);
    else if (answer === "again") this.take(theirs, joined, titles(this.saving.waiting));
    else this.view.state("conflict", STATES.conflict, "It is saved when you have decided.");
    return Boolean(answer);
  }

  // Who changed the transcript last.
  async changed() {
    const { results = [] } = await api(place(this.info.id, "revisions/")).catch(() => ({}));
    const newest = results.reduce((one, two) => (!one || two.revision > one.revision ? two : one), null);
    return newest ? `${newest.author || "Somebody"} changed this transcript on ${day(newest.created)}.` : "This transcript was changed elsewhere.";
  }

  // Goes on from the server's transcript, with other segments that are sent.
  take(theirs, wanted, more = []) {
    Object.assign(this.info, theirs);
    this.answer = null;
    this.past = [];
    this.future = [];
    this.base = theirs.segments;
    const edits = difference(theirs.segments, wanted);
    this.segments = apply(theirs.segments, edits);
    this.saving.restart(theirs.revision, [...edits, ...more]);
    this.view.shown();
  }

  // Sends edits for a newer revision; what is shown contains them already.
  resend(theirs, edits) {
    Object.assign(this.info, { title: theirs.title, revision: theirs.revision });
    this.base = theirs.segments;
    this.saving.restart(theirs.revision, edits);
  }

  // Takes edits up again that earlier visits could not send. Those stay kept until these are kept here.
  async restore() {
    for (const left of await kept(this.info.id, this.saving.key)) {
      if (!await this.saving.all()) return this.later();
      if (this.view.closed) return;
      try {
        if (await this.resume(left) === false) return;
      } catch (problem) {
        if (problem instanceof Problem) return this.later();
        if (!await this.drop(left)) return;
      }
      localStorage.removeItem(left.key);
    }
    if (keptOf(this.info.id, this.saving.key).length) this.later();  // a page that is loaded again seems to live for a moment
  }

  // Sends what was written meanwhile, and asks again.
  restart() {
    this.saving.stopped = false;
    return this.restore();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.view.closed || this.restore(), AGAIN_MS);
    return false;
  }

  async resume({ revision, edits }) {
    const base = revision === this.info.revision ? this.answer?.segments ?? this.base : await this.revision(revision);
    const { editor, closed } = this.view;
    if (closed) return false;
    editor.commit();
    if (editor.emptied) return this.later();
    const now = this.segments, count = contained(base, edits, now);
    const { made, lost } = count === null ? reapplied(base, apply(base, edits), now) : { lost: [] };
    if (lost.length) {
      if (this.view.busy || !this.saving.idle) return this.later();  // nobody is asked while they type
      this.saving.stopped = true;
      const decided = await this.decide({ status: 409 }, { ...this.info, segments: now }, base, apply(base, edits), edits.length);
      if (!decided) this.view.undecided(() => this.restart());
      return decided;
    }
    const rest = made ? [...difference(now, made), ...titles(edits)] : edits.slice(count);
    if (!rest.length) return;
    editor.around(() => this.edit(rest));
    toast(`${plural(rest.length, "edit")} of your last visit ${rest.length === 1 ? "is" : "are"} saved now.`);
  }

  // Edits whose version is not kept any more: their texts can only be copied.
  async drop({ edits }) {
    const value = edits.map(({ text }) => text).filter(Boolean).join("\n\n");
    const said = made("p", { textContent: "They do not fit this transcript any more. Copy from here what you need:" });
    return dialog("Edits of your last visit", [said, made("textarea", { readOnly: true, rows: 5, value, "aria-label": "Your text" })], [["Drop them", "drop"]]);
  }
}
