// A row of a transcript: a segment with its words, or a stretch of speech that was not understood.
import { button, clock, made } from "./dom.js";
import { pieces } from "./segments.js";

export const UNSURE = 0.5;  // confidence of a word below which somebody should look at it
const COLOURS = 8;

export const unsure = (word) => !word.corrected && (word.confidence ?? 1) < UNSURE;

export function turn(segment) {
  const node = made("div", { class: "turn", role: "listitem" });
  node.append(made("button", { type: "button", class: "time plain", textContent: clock(segment.start), title: "Play from here" }));
  if (!segment.words) {
    node.classList.add("gap");
    const seconds = (segment.end - segment.start).toFixed(1);
    node.append(made("div", { class: "body" }, made("p", { textContent: `Speech that was not understood, ${seconds} s` })));
    return node;
  }
  const who = made("button", { type: "button", class: "who plain", title: "Change the speaker", dir: "auto" });
  const text = made("p", { class: "text", dir: "auto", tabIndex: -1 });
  write(text, segment);
  const tools = made("div", { class: "tools" }, button("Edit", () => {}, { symbol: "pen", bare: true, class: "plain edit" }), button("More", () => {}, { symbol: "more", bare: true, class: "plain more" }));
  node.append(made("div", { class: "body" }, who, text), tools);
  return node;
}

// Writes the words of a segment, each as an element.
export function write(text, segment) {
  if (!segment.words.length) return text.replaceChildren(segment.text);
  text.replaceChildren(...pieces(segment).flatMap((piece, number) => {
    const bare = piece.trim(), at = piece.indexOf(bare), word = segment.words[number];
    const node = made("span", { class: unsure(word) ? "word unsure" : "word", textContent: bare, data: { word: number } });
    return [piece.slice(0, at), node, piece.slice(at + bare.length)].filter(Boolean);
  }));
}

// What depends on the rows around: whether the speaker's name is shown, and the colour.
export function dress(node, segment, before, speakers) {
  const at = speakers.indexOf(segment.speaker), known = segment.speaker ?? null;
  node.style.setProperty("--who", at < 0 ? "var(--none)" : `var(--s${at % COLOURS})`);
  const first = !before || (before.speaker ?? null) !== known;
  node.classList.toggle("first", first);
  const who = node.querySelector(".who");
  if (!who) return;
  who.textContent = known ?? "No speaker";
  who.hidden = !speakers.length || !first;
}
