// Sends edits in order, one request at a time, and keeps them in this browser until the server has confirmed them.
import { api, place } from "./api.js";

const PAUSE_MS = 700, FIRST_RETRY_MS = 2000, LAST_RETRY_MS = 10000, MOST = 1000, OTHERS_MS = 4000, LOOK_MS = 100;
const FIELDS = { rename: ({ from, into }) => ({ speakers: { [from]: into } }), title: ({ title }) => ({ title }) };
const PAGE = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
const ALL = "stt_lab.edits.";  // then the transcript, the page, and a number for each time that the page showed it
const idOf = (key) => key.split(".")[2], pageOf = (key) => key.split(".")[3];
const left = new Set();  // those of transcripts that this page showed before, with edits that wait
const pages = new BroadcastChannel("stt_lab.edits");
let visits = 0, forgets = false;

export const UNSAVED = "Some edits are not saved yet. Try again when they are.";

// Other pages that live, such as a second tab, hold a lock; what they keep is theirs.
navigator.locks?.request(PAGE, () => new Promise(() => {}));

async function others() {
  const { held = [] } = (await navigator.locks?.query()) ?? {}, alive = new Set(held.map(({ name }) => name));
  return ({ key }) => pageOf(key) !== PAGE && alive.has(pageOf(key));
}

// What another page of this browser asks for when it signs out.
pages.onmessage = ({ data }) => {
  if (data === "send") return dispatchEvent(new Event("stt-send"));
  clear();
  location.reload();
};

// What this browser keeps under keys that begin so: [{key, revision, edits, digest}].
function stored(start) {
  return Object.keys(localStorage).filter((key) => key.startsWith(start)).flatMap((key) => {
    try {
      return [{ key, ...JSON.parse(localStorage.getItem(key)) }].filter(({ edits }) => edits?.length);
    } catch {
      return [];
    }
  });
}

// What other visits keep, those of pages that live among them; `own` is the key of this visit.
export function keptOf(id, own) {
  return stored(`${ALL}${id}.`).filter(({ key }) => key !== own);
}

// What earlier visits could not send, this page's own among them.
export async function kept(id, own) {
  const another = await others();
  return keptOf(id, own).filter((one) => !another(one));
}

// Ends what this page still sends of a transcript that it showed before; resolves to whether there was something.
export async function ended(id) {
  const some = [...left].filter((one) => `${one.id}` === `${id}`);
  await Promise.all(some.map((one) => one.halt()));
  return some.length > 0;
}

// Sends what this browser keeps, before somebody signs out; other pages send theirs. Resolves to the transcripts of what is left.
export async function sendKept() {
  pages.postMessage("send");
  await Promise.all([...left].map((one) => one.halt()));
  const another = await others();
  for (const { key, revision, edits } of stored(ALL).filter((one) => !another(one))) {
    const nothing = () => {}, saving = new Saving(idOf(key), revision, { state: nothing, saved: nothing, conflict: nothing, digest: nothing });
    Object.assign(saving, { key, waiting: edits });
    await saving.all();
    saving.halt();
  }
  for (let waited = 0; stored(ALL).some(another) && waited < OTHERS_MS; waited += LOOK_MS) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  return [...new Set(stored(ALL).map(({ key }) => idOf(key)))];
}

// After somebody signed out, no page of this browser keeps or shows what was theirs.
export function forget() {
  clear();
  pages.postMessage("forget");
}

function clear() {
  forgets = true;
  for (const key of Object.keys(localStorage).filter((one) => one.startsWith(ALL))) localStorage.removeItem(key);
}

export class Saving {
  // `on` has functions: state(name, text), saved(answer), conflict(problem), and digest() of what is shown.
  constructor(id, revision, on) {
    Object.assign(this, { id, revision, on, waiting: [], wait: FIRST_RETRY_MS, key: `${ALL}${id}.${PAGE}.${++visits}` });
    this.online = () => this.waiting.length && this.flush();
    addEventListener("online", this.online);
  }

  get idle() {
    return !this.waiting.length;
  }

  add(edits) {
    this.waiting.push(...edits);
    this.keep();
    if (this.stopped) return;
    if (!this.sending) this.later(PAUSE_MS);
    this.on.state("saving");
  }

  keep() {
    if (this.idle || forgets) return localStorage.removeItem(this.key);
    try {
      localStorage.setItem(this.key, JSON.stringify({ revision: this.revision, edits: this.waiting, digest: this.on.digest() }));
    } catch { /* this browser keeps nothing; the edits are still sent */ }
  }

  later(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), ms);
  }

  // The edits of the next request: a new name or title goes alone, because it is another field.
  batch() {
    const alone = this.waiting.findIndex(({ op }) => FIELDS[op]);
    return this.waiting.slice(0, alone === 0 ? 1 : Math.min(MOST, alone < 0 ? MOST : alone));
  }

  // Resolves when what is being sent has an answer; then more may wait.
  flush(leaving = false) {
    clearTimeout(this.timer);
    if (!this.sending && !this.idle && !this.stopped) this.sending = this.send(leaving);
    return Promise.resolve(this.sending);
  }

  async send(leaving) {
    const edits = this.batch(), changes = FIELDS[edits[0].op]?.(edits[0]) ?? { edits };
    this.on.state("saving");
    try {
      const answer = await api(place(this.id), { method: "PATCH", body: { revision: this.revision, ...changes }, keepalive: leaving });
      this.sending = null;
      this.done(answer, edits.length);
    } catch (problem) {
      this.sending = null;
      this.failed(problem);
    }
  }

  done(answer, count) {
    this.waiting.splice(0, count);
    this.revision = answer.revision;
    this.wait = FIRST_RETRY_MS;
    this.keep();
    this.on.state(this.idle ? "saved" : "saving");
    this.on.saved(answer);
    if (!this.idle) this.later(0);
    else if (left.has(this)) this.halt();
  }

  failed(problem) {
    if ([400, 404, 409, 413, 422].includes(problem.status)) {
      this.stopped = true;
      return this.on.conflict(problem);
    }
    this.on.state("offline", problem.status === 401 ? "Sign in again in another tab; then this is saved." : problem.message);
    this.later(this.wait);
    this.wait = Math.min(LAST_RETRY_MS, this.wait * 2);
  }

  // Goes on from a newer revision, with other edits in the place of those that wait.
  restart(revision, edits) {
    Object.assign(this, { revision, waiting: [], stopped: false });
    this.keep();
    this.on.state("saved");
    if (edits.length) this.add(edits);
  }

  // Sends all that waits; resolves to whether nothing waits any more.
  async all() {
    for (let before = Infinity; this.waiting.length && this.waiting.length < before;) {
      before = this.waiting.length;
      await this.flush();
    }
    return this.idle;
  }

  // Goes on sending until all is sent, or the transcript is shown again.
  close() {
    left.add(this);
    if (this.idle) this.halt();
    else this.flush(true);
  }

  // Sends no more. What waits stays kept.
  halt() {
    this.stopped = true;
    left.delete(this);
    removeEventListener("online", this.online);
    clearTimeout(this.timer);
    return this.sending;
  }
}
