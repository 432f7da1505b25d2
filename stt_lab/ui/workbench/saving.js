// Sends edits in order, one request at a time, and keeps them in this browser until the server has confirmed them.
import { api, place } from "./api.js";

const PAUSE_MS = 700, FIRST_RETRY_MS = 2000, LAST_RETRY_MS = 30000, MOST = 1000;
const FIELDS = { rename: ({ from, into }) => ({ speakers: { [from]: into } }), title: ({ title }) => ({ title }) };
const PAGE = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
const start = (id) => `stt_lab.edits.${id}.`, key = (id) => start(id) + PAGE;

// Other pages that live, such as a second tab, hold a lock; what they keep is theirs.
navigator.locks?.request(PAGE, () => new Promise(() => {}));

// What earlier visits could not send: [{key, revision, edits, digest}].
export async function kept(id) {
  const { held = [] } = (await navigator.locks?.query()) ?? {}, alive = new Set(held.map(({ name }) => name));
  return Object.keys(localStorage).filter((one) => one.startsWith(start(id)) && one !== key(id) && !alive.has(one.slice(start(id).length))).flatMap((one) => {
    try {
      return [{ key: one, ...JSON.parse(localStorage.getItem(one)) }].filter(({ edits }) => edits?.length);
    } catch {
      return [];
    }
  });
}

export class Saving {
  // `on` has functions: state(name, text), saved(answer), conflict(problem), and digest() of what is shown.
  constructor(id, revision, on) {
    Object.assign(this, { id, revision, on, waiting: [], wait: FIRST_RETRY_MS });
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
    if (this.idle) return localStorage.removeItem(key(this.id));
    try {
      localStorage.setItem(key(this.id), JSON.stringify({ revision: this.revision, edits: this.waiting, digest: this.on.digest() }));
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

  async flush(leaving = false) {
    clearTimeout(this.timer);
    if (this.sending || this.idle || this.stopped) return;
    const edits = this.batch(), changes = FIELDS[edits[0].op]?.(edits[0]) ?? { edits };
    this.sending = true;
    this.on.state("saving");
    try {
      const answer = await api(place(this.id), { method: "PATCH", body: { revision: this.revision, ...changes }, keepalive: leaving });
      this.sending = false;
      this.done(answer, edits.length);
    } catch (problem) {
      this.sending = false;
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

  close() {
    removeEventListener("online", this.online);
    this.flush(true);
    clearTimeout(this.timer);
  }
}
