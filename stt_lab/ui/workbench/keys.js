// Hotkeys of a transcript, and the list of them.
import { dialog, made } from "./dom.js";
import { speakerMenu } from "./speakers.js";

const row = (view) => view.rows.node(view.rows.index.get(view.segments[view.current]));

// Key, what is shown for it, what it does, and the act. "Mod" is Ctrl, or ⌘ on a Mac.
const KEYS = [
  [" ", "Space", "Play or pause", (view) => view.player?.play()],
  ["ArrowLeft", "←", "Back 5 seconds", (view) => view.player?.skip(-5)],
  ["ArrowRight", "→", "Forward 5 seconds", (view) => view.player?.skip(5)],
  ["ArrowUp", "↑", "Previous segment", (view) => view.focus(view.current - 1)],
  ["ArrowDown", "↓", "Next segment", (view) => view.focus(view.current + 1)],
  ["p", "P", "Play the segment", (view) => view.player?.hear(view.segments[view.current].start)],
  ["[", "[", "Slower", (view) => view.player?.faster(-1)],
  ["]", "]", "Faster", (view) => view.player?.faster(1)],
  ["f", "F", "Follow the spoken word, or not", (view) => view.player && view.follow(!view.follows)],
  ["Enter", "Enter", "Edit the segment", (view) => view.editor.begin(view.current)],
  ["s", "S", "Speaker of the segment or of the selected words", (view) => speakerMenu(view, view.current, row(view)?.querySelector(".more"))],
  ["m", "M", "Merge with the next segment", (view) => view.current + 1 < view.segments.length && view.draft.edit([{ op: "merge", segment: view.current }])],
  ["n", "N", "Next uncertain word", (view) => view.review.step(1)],
  ["a", "A", "Accept the uncertain word", (view) => view.review.accept()],
  ["/", "/ or Ctrl F", "Find and replace", (view) => view.find.open()],
  ["Mod f", "", "", (view) => view.find.open()],
  ["Mod z", "Ctrl Z", "Undo", (view) => view.draft.undo()],
  ["Mod Z", "Ctrl Shift Z", "Redo", (view) => view.draft.redo()],
  ["Mod y", "", "", (view) => view.draft.redo()],
  ["Mod s", "Ctrl S", "Save now", (view) => view.draft.saving.flush()],
  ["?", "?", "This list", () => help()],
];
const EDITING = [
  ["Enter", "Split at the caret"], ["Backspace", "At the beginning: merge with the segment before"], ["Delete", "At the end: merge with the next segment"],
  ["Tab", "Edit the next segment"], ["Shift Tab", "Edit the segment before"], ["Ctrl Space", "Play or pause"], ["Escape", "Leave"],
];

export function press(view, event) {
  const target = event.composedPath()[0], { key, ctrlKey, metaKey, altKey } = event;
  const typing = target.matches?.("input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]");
  const strong = ctrlKey || metaKey, own = target.closest?.("button, a, dialog, .menu, input");
  if (typing || altKey || event.defaultPrevented || (own && (target.closest("dialog, .menu") || ["Enter", " "].includes(key) || key.startsWith("Arrow")))) return;
  const found = KEYS.find(([one]) => one === (strong ? `Mod ${key}` : key.length === 1 ? key.toLowerCase() : key));
  if (!found) return;
  event.preventDefault();
  found[3](view);
}

export function help() {
  const table = (rows) => made("dl", { class: "keys" }, ...rows.flatMap(([key, text]) => [made("dt", {}, made("kbd", { textContent: key })), made("dd", { textContent: text })]));
  const mouse = [["Click", "Hear a word"], ["Double click", "Edit the text at a word"]];
  dialog("Keys", [table([...mouse, ...KEYS.filter(([, shown]) => shown).map(([, shown, text]) => [shown, text])]), made("h3", { textContent: "While a segment is edited" }), table(EDITING)], undefined, true);
}
