// The menu of a segment: who speaks, and what can be done with the segment.
import { ask, made, menu } from "./dom.js";
import { findSpeakers, transcribeAgain } from "./again.js";
import { retime } from "./times.js";

const LONGEST = 100, UNSEEN = /[\p{C}\p{Z}]+/gu;  // no name has what cannot be seen

export function speakerMenu(view, number, anchor) {
  const { draft } = view, chosen = view.selected();
  view.editor.end();
  if (number === undefined || !view.segments[number]) return;
  view.go(number);
  const segment = view.segments[number], now = segment.speaker ?? null;
  const words = chosen?.segment === number ? chosen : { segment: number, from: 0, to: segment.words.length };
  const part = words.to - words.from < segment.words.length;
  const give = (speaker) => { if (speaker && speaker !== now) draft.edit([{ op: "speaker", ...words, speaker }]); };
  const label = (text) => made("span", { class: "label", textContent: text });
  const entries = [label(part ? "Who says the selected words" : "Who says this segment"),
    ...view.speakers.filter((name) => name !== now).map((name) => [name, () => give(name)]),
    ["New speaker …", async () => give(await named("New speaker"))]];
  if (now) {
    const others = view.speakers.filter((name) => name !== now);
    entries.push(made("hr"), label(`Everything of ${now}`), ["Rename …", () => rename(view, now)],
      ...others.map((name) => [`Merge into ${name}`, () => draft.edit([{ op: "merge_speakers", from: now, into: name }])]));
  }
  entries.push(made("hr"), label("Segment"));
  if (segment.words.length) entries.push([part ? "Times of the selected words …" : "Times …", () => retime(view, words)]);
  if (number + 1 < view.segments.length) entries.push(["Merge with the next", () => draft.edit([{ op: "merge", segment: number }])]);
  if (view.segments.length > 1) entries.push(["Delete", () => draft.edit([{ op: "delete", segment: number }])]);
  if (view.player) {
    const [first, last] = [segment.words[words.from] ?? segment, segment.words[words.to - 1] ?? segment];
    entries.push(made("hr"), label("Listen again"), [part ? "Transcribe the selected words …" : "Transcribe this segment …", () => transcribeAgain(view, first.start, last.end)],
      ["Find the speakers of all …", () => findSpeakers(view)]);
  }
  menu(anchor, "Segment", entries);
}

async function named(title, now = "") {
  return (await ask(title, "Name", now, { maxLength: LONGEST, dir: "auto" }))?.replace(UNSEEN, " ").trim();
}

async function rename(view, from) {
  const into = await named("Rename a speaker everywhere", from);
  if (!into || into === from) return;
  view.draft.edit([view.speakers.includes(into) ? { op: "merge_speakers", from, into } : { op: "rename", from, into }]);
}
