// Listens to the recording again: who speaks, or the words of a part. What somebody corrected stays.
import { api, place } from "./api.js";
import { ask, dialog, field, select, toast } from "./dom.js";
import { UNSAVED } from "./saving.js";

const POLL_MS = 1000, LONG_S = 24 * 3600, MOST_SPEAKERS = 20, SHORTEST_S = 0.1;
const ACTIVE = ["queued", "running"];
const pause = () => new Promise((resolve) => setTimeout(resolve, POLL_MS));

export async function findSpeakers(view) {
  const count = await ask("Find the speakers again", "Number of speakers, 0 to find out", "0", { type: "number", min: 0, max: MOST_SPEAKERS, step: 1 });
  if (count !== null) await begin(view, "diarize/", { speakers: Number(count) }, "Finding the speakers again …");
}

// Transcribes the time between two places again, with a model that is asked for.
export async function transcribeAgain(view, start, end) {
  try {
    const { models } = await api("v1/models"), known = models.filter(({ available }) => available);
    const chosen = known.find(({ id }) => id === view.info.model) ?? known[0];
    const list = select(known.map(({ id, name }) => [id, name]), chosen?.id, () => {});
    if (await dialog("Transcribe again", field("Model", list), [["Transcribe", "go"]]) !== "go") return;
    const last = Math.floor(view.info.duration * 1000) / 1000, until = Math.min(last, Math.max(end, start + SHORTEST_S));
    await begin(view, "transcribe/", { start: Math.min(start, until - SHORTEST_S), end: until, model: list.value }, "Transcribing again …");
  } catch (problem) {
    toast(problem.message);
  }
}

async function begin(view, path, body, text) {
  view.editor.end();
  if (!await view.draft.saving.all()) return toast(UNSAVED);
  let close = () => {};
  try {
    const { id } = await api(place(view.info.id, path), { method: "POST", body: { ...body, revision: view.info.revision } });
    close = toast(text, "Cancel", () => api(`v1/jobs/${id}`, { method: "DELETE" }).catch(() => {}), LONG_S);
    const job = await ended(view, id);
    if (job?.status === "failed") toast(job.error?.error ?? "This failed. Try again later.");
    if (job?.status === "done") await take(view);
  } catch (problem) {
    toast(problem.message);
  }
  close();
}

// The job when it has ended, or null when this place was left; the job goes on then.
async function ended(view, id) {
  while (!view.closed) {
    const job = await api(`v1/jobs/${id}`).catch((problem) => { if (problem.status) throw problem; });
    if (job && !ACTIVE.includes(job.status)) return job;
    await pause();
  }
  return null;
}

// Shows the new version as soon as nobody types and all edits are saved.
async function take(view) {
  const { draft } = view;
  while (!view.closed && !draft.saving.stopped && (view.busy || !draft.saving.idle)) await pause();
  if (view.closed || draft.saving.stopped) return;
  const now = await draft.fetched();
  if (view.closed || view.busy || !draft.saving.idle) return;
  if (now.revision === view.info.revision) return toast("Nothing differs from before.");
  draft.take(now, now.segments);
  toast("The transcript has a new version. The one before is under Versions.");
}
