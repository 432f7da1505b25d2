// Charts, tables and sizes.
import { made } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600, HEIGHT = 90;

// A bar chart of few values, with a text for each bar and one for the whole.
export function chart(rows, title) {
  const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "chart", preserveAspectRatio: "none" });
  const most = Math.max(1, ...rows.map((row) => row.value)), step = WIDTH / Math.max(1, rows.length);
  const last = rows.at(-1);
  drawn.setAttribute("aria-label", `${title}, most ${most}${last ? `, last ${last.text}` : ""}`);
  rows.forEach((row, at) => {
    const height = Math.max(row.value ? 2 : 0.5, (HEIGHT - 4) * row.value / most);
    const bar = svg("rect", { x: at * step + step * 0.1, y: HEIGHT - height, width: step * 0.8, height, class: row.value ? "bar" : "bar none" });
    const said = document.createElementNS(SVG, "title");
    said.textContent = row.text;
    bar.append(said);
    drawn.append(bar);
  });
  return drawn;
}

function svg(tag, values) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
  return node;
}

export function size(mb) {
  return mb >= 1024 ? `${(mb / 1024).toFixed(1)} GB` : `${Math.round(mb)} MB`;
}

// A table of texts and nodes. With `stacked`, a narrow page shows each row as a block of named lines.
export function table(heads, rows, stacked = false) {
  const head = made("tr", {}, ...heads.map((text) => made("th", { scope: "col", textContent: text })));
  const body = rows.map((cells) => made("tr", {}, ...cells.map((cell, at) => made("td", { dir: "auto", data: heads[at] && at ? { label: heads[at] } : {} }, cell))));
  return made("div", { class: stacked ? "wide stacked" : "wide", tabIndex: 0, role: "region", "aria-label": heads.filter(Boolean).join(", ") },
    made("table", { class: "plain-table" }, made("thead", {}, head), made("tbody", {}, ...body)));
}
