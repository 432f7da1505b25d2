// Segments and edits of them, as values: the same edits as those of PATCH /api/v1/transcripts/:id/ (docs/workbench.md).
// A segment never changes; an edit makes new ones. The server's answer decides in the end about times.

const INNER = /[\p{L}\p{M}\p{N}\p{S}]/u, PLAIN = /[\p{L}\p{M}\p{N}\p{S}].*[\p{L}\p{M}\p{N}\p{S}]|[\p{L}\p{M}\p{N}\p{S}]/u;
const SPACE = /\s/, OPENS = /^[\p{Ps}\p{Pi}]/u, MARK = /\p{M}/u;
const UNSPACED = /[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]/;
const EDGE_S = 0.5;  // seconds that a word takes at most which is inserted at the edge of a segment
const LONGEST = 9000;  // characters that one edit writes, with the spaces that join them; the server takes 10,000
const NEAR_S = 0.1;  // how far the times of a segment may move while it stays the same one
const LARGEST = 4e6;  // cells of a comparison; beyond it, all between the equal ends counts as different

const cut = new WeakMap();

// The text of a segment, cut so that each word has its piece with its punctuation and the space behind it.
export function pieces(segment) {
  if (!cut.has(segment)) cut.set(segment, cutText(segment.text, segment.words));
  return cut.get(segment);
}

function cutText(text, words) {
  const ends = [0];
  let at = 0;
  words.forEach((one, number) => {
    const [start, end] = found(text, one.word, at);
    if (number) ends.push(boundary(text, at, start));
    at = end;
  });
  return words.map((_, number) => text.slice(ends[number], ends[number + 1] ?? text.length));
}

// Where a word is in the text; a word has no spaces, its text may.
function found(text, word, from) {
  const plain = text.indexOf(word, from);
  if (plain >= 0) return [plain, plain + word.length];
  for (let start = from; start < text.length; start++) {
    let at = start, read = 0;
    while (at < text.length && read < word.length && (text[at] === word[read] || (read && SPACE.test(text[at])))) {
      if (text[at] === word[read]) read++;
      at++;
    }
    if (read === word.length) return [start, at];
  }
  return [from, from];
}

function boundary(text, end, start) {
  for (let at = start; at > end; at--) if (SPACE.test(text[at - 1])) return at;
  return start;
}

// The words that a text becomes, each with its punctuation. Scripts without spaces have a word for each letter.
export function tokens(text) {
  const made = [];
  let before = "";
  for (const token of text.split(/\s+/).filter(Boolean)) {
    letters(token).forEach((piece, number) => {
      const spaced = number || (!made.length && !before) ? piece : ` ${piece}`;
      if (INNER.test(piece)) {
        made.push(before + spaced);
        before = "";
      } else if (made.length && !OPENS.test(piece)) made[made.length - 1] += spaced;
      else before += spaced;
    });
  }
  return made;
}

// A token, cut before each letter of a script without spaces and behind the last of a run.
function letters(token) {
  const made = [""];
  let base = "", opening = "";
  for (const char of token) {
    if (OPENS.test(char)) {
      opening += char;
      continue;
    }
    const inner = INNER.test(char), letter = inner && !(base && MARK.test(char));
    if (letter && base && (UNSPACED.test(char) || UNSPACED.test(base))) made.push("");
    made[made.length - 1] += opening + char;
    opening = "";
    if (letter) base = char;
  }
  made[made.length - 1] += opening;
  return made;
}

const plain = (token) => (token.match(PLAIN)?.[0] ?? token).replace(/\s/g, "");

function joined(parts) {
  return parts.reduce((text, part) => {
    const close = !text || !part || SPACE.test(text.at(-1)) || (UNSPACED.test(text.at(-1)) && UNSPACED.test(part[0]));
    return text + (close ? "" : " ") + part;
  }, "");
}

function remade(segment, words, text) {
  const start = words[0]?.start ?? segment.start, end = words.at(-1)?.end ?? segment.end;
  return { ...segment, words, text: text.trim(), start, end };
}

function part(segment, from, to, speaker = segment.speaker) {
  return { ...remade(segment, segment.words.slice(from, to), pieces(segment).slice(from, to).join("")), speaker };
}

// The time that inserted words share: the gap between their neighbours, at an edge of the segment a short one.
function gap(segments, at, word, count) {
  const segment = segments[at], { words } = segment, most = EDGE_S * count;
  if (!words.length) return [segment.start, segment.end];
  if (word > 0 && word < words.length) return [words[word - 1].end, Math.max(words[word - 1].end, words[word].start)];
  if (word > 0) return [segment.end, Math.min(Math.max(segment.end, segments[at + 1]?.start ?? Infinity), segment.end + most)];
  const earliest = segments[at - 1]?.end ?? 0;
  return [Math.max(Math.min(segment.start, earliest), segment.start - most), segment.start];
}

const rounded = (seconds) => Math.round(seconds * 1000) / 1000;

const EDITS = {
  replace(segments, { segment: at, from, to, text }) {
    const segment = segments[at], { words } = segment, made = tokens(text);
    const [start, end] = from < to ? [words[from].start, words[to - 1].end] : gap(segments, at, from, made.length);
    const kept = made.length === to - from && made.every((token, number) => plain(token) === words[from + number].word);
    const count = (token) => token.replace(/\s/g, "").length, total = made.reduce((sum, token) => sum + count(token), 0);
    let read = 0;
    const between = made.map((token, number) => {
      const begin = rounded(start + ((end - start) * read) / total);
      read += count(token);
      const times = kept ? words[from + number] : { start: begin, end: rounded(start + ((end - start) * read) / total) };
      return { word: plain(token), start: times.start, end: times.end, corrected: true };
    });
    const all = [...words.slice(0, from), ...between, ...words.slice(to)];
    if (!all.length) return segments.toSpliced(at, 1);
    const parts = pieces(segment), whole = joined([parts.slice(0, from).join(""), made.join(""), parts.slice(to).join("")]);
    return segments.with(at, remade(segment, all, whole));
  },
  split(segments, { segment: at, word }) {
    return segments.toSpliced(at, 1, part(segments[at], 0, word), part(segments[at], word));
  },
  merge(segments, { segment: at }) {
    const [one, two] = [segments[at], segments[at + 1]];
    const words = [...one.words, ...two.words];
    return segments.toSpliced(at, 2, { ...one, words, text: joined([one.text, two.text]), end: Math.max(one.end, two.end) });
  },
  retime(segments, { segment: at, word, start, end }) {
    const words = segments[at].words.with(word, { ...segments[at].words[word], start, end, corrected: true });
    return segments.with(at, remade(segments[at], words, segments[at].text));
  },
  delete(segments, { segment: at }) {
    return segments.toSpliced(at, 1);
  },
  speaker(segments, { segment: at, from, to, speaker }) {
    const segment = segments[at], count = segment.words.length;
    if (from === 0 && to === count) return segments.with(at, { ...segment, speaker });
    const three = [part(segment, 0, from), part(segment, from, to, speaker), part(segment, to, count)];
    return segments.toSpliced(at, 1, ...three.filter((one) => one.words.length));
  },
  merge_speakers(segments, { from, into }) {
    return segments.map((one) => (one.speaker === from ? { ...one, speaker: into } : one));
  },
};

Object.assign(EDITS, { rename: EDITS.merge_speakers, title: (segments) => segments });  // sent as fields of their own

export function apply(segments, edits) {
  return edits.reduce((now, edit) => EDITS[edit.op](now, edit), segments);
}

// What differs between two lists: [from, to, other from, other to] for each stretch, from the last to the first.
export function stretches(one, two, equal = Object.is) {
  let head = 0, tail = 0;
  const most = Math.min(one.length, two.length);
  while (head < most && equal(one[head], two[head])) head++;
  while (tail < most - head && equal(one.at(-1 - tail), two.at(-1 - tail))) tail++;
  const n = one.length - head - tail, m = two.length - head - tail;
  if (!n && !m) return [];
  if (!n || !m || n * m > LARGEST) return [[head, head + n, head, head + m]];
  const width = m + 1, longest = new Uint32Array((n + 1) * width);  // common words from here on
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      longest[i * width + j] = equal(one[head + i], two[head + j]) ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const found = [];
  let i = 0, j = 0;
  while (i < n || j < m) {
    const [a, b] = [i, j];
    while ((i < n || j < m) && !(i < n && j < m && equal(one[head + i], two[head + j]))) {
      if (j >= m || (i < n && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) i++;
      else j++;
    }
    if (i > a || j > b) found.push([head + a, head + i, head + b, head + j]);
    while (i < n && j < m && equal(one[head + i], two[head + j])) { i++; j++; }
  }
  return found.reverse();
}

// The edits that write words in the place of others; an edit takes no text of any length.
function written(segment, from, to, words, join) {
  const made = [];
  let begun = 0, size = 0;
  words.forEach((word, number) => {
    if (number > begun && size + word.length > LONGEST) {
      made.push(words.slice(begun, number));
      [begun, size] = [number, 0];
    }
    size += word.length;
  });
  made.push(words.slice(begun));
  let at = from;
  return made.map((some, number) => {
    const edit = { op: "replace", segment, from: at, to: number ? at : to, text: join(some).trim() };
    at += some.length;
    return edit;
  });
}

const bare = (segment) => pieces(segment).map((one) => one.trim());

// The edits that give a segment another text; equal words keep their times.
export function rewritten(segment, at, text) {
  const now = tokens(text), bared = now.map((one) => one.trim());
  if (!text.trim()) return [{ op: "delete", segment: at }];
  if (!now.length || (!segment.words.length && segment.text === text.trim())) return [];
  return stretches(bare(segment), bared).flatMap(([from, to, first, last]) => written(at, from, to, now.slice(first, last), (some) => some.join("")));
}

const sameWord = (one, two) => one.word === two.word && one.start === two.start && one.end === two.end;
export const same = (one, two) => one === two || (one.text === two.text && (one.speaker ?? null) === (two.speaker ?? null)
  && one.words.length === two.words.length && one.words.every((word, number) => sameWord(word, two.words[number])));

// The edits that make `two` of `one`: how undo and redo are sent. First texts and speakers, then times.
export function difference(one, two) {
  const made = shaped(one, two);
  return [...made, ...retimed(apply(one, made), two)];
}

function shaped(one, two) {
  if (one.length === two.length) {
    return one.flatMap((segment, at) => (same(segment, two[at]) ? [] : replaced(one, at, 1, [two[at]])));
  }
  let head = 0, tail = 0;
  const most = Math.min(one.length, two.length);
  while (head < most && same(one[head], two[head])) head++;
  while (tail < most - head && same(one.at(-1 - tail), two.at(-1 - tail))) tail++;
  if (head + tail === most && head) head--;  // a segment cannot be made of nothing: its neighbour takes part
  else if (head + tail === most) tail--;
  return replaced(one, head, one.length - tail - head, two.slice(head, two.length - tail));
}

// The edits that put `wanted` in the place of `count` segments from `at` on.
function replaced(segments, at, count, wanted) {
  const merges = Array.from({ length: count - 1 }, () => ({ op: "merge", segment: at }));
  const merged = apply(segments, merges)[at], texts = wanted.flatMap(pieces);
  const words = stretches(bare(merged), wanted.flatMap(bare)).flatMap(([from, to, first, last]) => written(at, from, to, texts.slice(first, last), joined));
  const splits = [];
  for (let number = wanted.length - 1, sum = texts.length; number > 0; number--) {
    sum -= wanted[number].words.length;
    splits.push({ op: "split", segment: at, word: sum });
  }
  const speakers = wanted.flatMap((one, number) => ((one.speaker ?? null) === (merged.speaker ?? null) ? []
    : [{ op: "speaker", segment: at + number, from: 0, to: one.words.length, speaker: one.speaker ?? null }]));
  return [...merges, ...words, ...splits, ...speakers];
}

// Words keep their order in between: first those that move shrink to where they begin, then they grow from the last.
function retimed(segments, wanted) {
  const shrunk = [], grown = [];
  let before = 0;
  wanted.forEach(({ words }, segment) => words.forEach(({ start, end }, word) => {
    const now = segments[segment].words[word];
    if (now.start !== start || now.end !== end) {
      shrunk.push({ op: "retime", segment, word, start: before, end: before });
      grown.unshift({ op: "retime", segment, word, start, end });
    } else before = end;
  }));
  return shrunk.length > 1 ? [...shrunk, ...grown] : grown;
}

// A short number that differs for different texts, to recognise an answer that was lost.
export function digest(segments) {
  let sum = 2166136261;
  for (const { text, speaker } of segments) {
    for (const char of `${speaker ?? ""}\n${text}\n`) sum = Math.imul(sum ^ char.codePointAt(0), 16777619);
  }
  return sum >>> 0;
}

// How many of some edits a list contains already, because their answer was lost; null if it is none of their states.
export function contained(base, edits, theirs) {
  const wanted = digest(theirs);
  let now = base;
  for (let count = 0; count <= edits.length; count++) {
    if (now.length === theirs.length && digest(now) === wanted) return count;
    if (count < edits.length) now = apply(now, [edits[count]]);
  }
  return null;
}

// What differs between two lists of segments; where their times agree, each segment is a stretch of its own.
function changes(one, two) {
  const agree = (a, b) => Math.abs(a.start - b.start) < NEAR_S && Math.abs(a.end - b.end) < NEAR_S;
  return stretches(one, two, same).flatMap(([from, to, first, last]) => {
    const before = one.slice(from, to), after = two.slice(first, last);
    if (before.length !== after.length || !before.every((segment, at) => agree(segment, after[at]))) return [[from, to, first, last]];
    return before.map((_, at) => [from + at, from + at + 1, first + at, first + at + 1]).reverse();
  });
}

// What both have changed of a base: `theirs` with the changes of `mine` that do not touch theirs, and those that do.
export function reapplied(base, mine, theirs) {
  const other = changes(base, theirs), single = (from, to, first, last) => to - from === 1 && last - first === 1, lost = [];
  let made = theirs;
  for (const [from, to, first, last] of changes(base, mine)) {
    const agreed = other.some(([start, end, a, b]) => start === from && end === to && digest(theirs.slice(a, b)) === digest(mine.slice(first, last)));
    if (agreed) continue;
    const touches = ([start, end, a, b]) => (single(start, end, a, b) && single(from, to, first, last) ? start === from : start <= to && from <= end);
    if (other.some(touches)) lost.unshift(...mine.slice(first, last));
    else {
      const moved = other.filter(([start]) => start < from).reduce((sum, [a, b, c, d]) => sum + (d - c) - (b - a), 0);
      made = made.toSpliced(from + moved, to - from, ...mine.slice(first, last));
    }
  }
  return { made, lost };
}
