// Asks for other times of the words of a segment: where the first one begins and the last one ends.
import { button, dialog, field, made, toast } from "./dom.js";
import { same } from "./segments.js";

const shown = (seconds, round = Math.round) => (round(seconds * 1000) / 1000).toString();

// What a time must stay between: words keep their order, and stay inside the recording.
function limits(view, { segment, from, to }) {
  const all = view.segments, { words } = all[segment];
  const before = words[from - 1] ?? all.slice(0, segment).findLast((one) => one.words.length)?.words.at(-1);
  const after = words[to] ?? all.slice(segment + 1).find((one) => one.words.length)?.words[0];
  return { earliest: before?.end ?? 0, latest: after?.start ?? view.info.duration };
}

function time(view, label, value, min, max) {
  const [least, most] = [shown(min, Math.ceil), shown(max, Math.floor)];
  const input = made("input", { type: "number", value: shown(value), min: least, max: most, step: "0.001", required: true, "aria-label": label });
  const here = button("From the player", () => { input.value = shown(Math.max(min, Math.min(max, view.player.media.currentTime))); }, { hidden: !view.player });
  return [input, made("div", { class: "times" }, field(`${label}, ${least} to ${most}`, input), here)];
}

export async function retime(view, { segment, from, to }) {
  const before = view.segments[segment], { words } = before, [first, last] = [words[from], words[to - 1]];
  const { earliest, latest } = limits(view, { segment, from, to }), one = to - from === 1;
  const [start, startRow] = time(view, "Start", first.start, earliest, one ? latest : first.end);
  const [end, endRow] = time(view, "End", last.end, one ? earliest : last.start, latest);
  const answer = await dialog("Times in seconds", [made("p", { class: "hint", dir: "auto", textContent: one ? first.word : `${first.word} … ${last.word}` }), startRow, endRow], [["Save", "save"]]);
  if (answer !== "save") return;
  if (!view.segments[segment] || !same(view.segments[segment], before)) return toast("The segment has changed meanwhile. Open its times again.");
  const [begins, ends] = [[start, first.start], [end, last.end]].map(([input, now]) => (input.value === shown(now) ? now : Number(input.value)));
  if (ends < begins) return toast("The end must not be before the start.");
  const edit = (word, times) => (times.start === words[word].start && times.end === words[word].end ? [] : [{ op: "retime", segment, word, ...times }]);
  view.draft.edit(one ? edit(from, { start: begins, end: ends })
    : [...edit(from, { start: begins, end: first.end }), ...edit(to - 1, { start: last.start, end: ends })]);
}
