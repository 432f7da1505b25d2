// Makes elements, and says times. What comes from data goes into the page as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  play: "M7 4v16l13-8z", pause: "M6 4h4v16H6zM14 4h4v16h-4z",
  more: "M5 10a2 2 0 110 4 2 2 0 010-4zM12 10a2 2 0 110 4 2 2 0 010-4zM19 10a2 2 0 110 4 2 2 0 010-4z",
};
const STROKES = {
  back: "M15 5l-7 7 7 7", down: "M12 4v12M6 11l6 6 6-6M5 20h14",
  pen: "M4 20l1-5L16 4l4 4L9 19zM14 6l4 4", search: "M10.5 4a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM15.5 15.5L20 20",
  undo: "M9 5L4 10l5 5M4 10h10a6 6 0 010 12h-3", redo: "M15 5l5 5-5 5M20 10H10a6 6 0 000 12h3",
  tag: "M4 4h8l8 8-8 8-8-8zM8 8h.01", bin: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13", close: "M6 6l12 12M18 6L6 18",
  rewind: "M11 6l-6 6 6 6M19 6l-6 6 6 6", forward: "M13 6l6 6-6 6M5 6l6 6-6 6", left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7", clock: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 7v5l3 2", help: "M9 9a3 3 0 116 0c0 2-3 2.5-3 4.5M12 17h.01",
  follow: "M12 3v4M12 17v4M3 12h4M17 12h4M12 8a4 4 0 100 8 4 4 0 000-8z", check: "M5 13l4 4L19 7",
};

// An element. Values: `class`, `data` (an object), listeners (`onclick`), properties, else attributes.
export function made(tag, values = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.className = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && name !== "list" && name !== "role") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function icon(name) {
  const drawn = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  drawn.setAttribute("viewBox", "0 0 24 24");
  drawn.setAttribute("class", ICONS[name] ? "icon filled" : "icon");
  drawn.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name] ?? STROKES[name]);
  drawn.append(path);
  return drawn;
}

// A button with an icon, a text, or both; the text is its name where only the icon is shown.
export function button(text, act, { symbol, bare = false, ...values } = {}) {
  const named = bare ? { "aria-label": text, title: text } : {};
  const node = made("button", { type: "button", onclick: act, ...named, ...values });
  if (symbol) node.append(icon(symbol));
  if (!bare) node.append(made("span", { textContent: text }));
  return node;
}

export function field(label, control) {
  return made("label", { class: "field" }, made("span", { textContent: label }), control);
}

export function select(options, chosen, act, values = {}) {
  const node = made("select", { onchange: () => act(node.value), ...values });
  for (const [value, text] of options) node.append(made("option", { value, textContent: text }));
  node.value = chosen;
  return node;
}

export function clock(seconds) {
  const whole = Math.floor(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export function day(text) {
  const date = new Date(text), thisYear = date.getFullYear() === new Date().getFullYear();
  return date.toLocaleString("en", { day: "numeric", month: "short", ...(thisYear ? {} : { year: "numeric" }), hour: "2-digit", minute: "2-digit", hour12: false });
}

const names = new Intl.DisplayNames(["en"], { type: "language" });
export function languageName(code) {
  try {
    return code ? names.of(code) : "";
  } catch {
    return code;
  }
}

export function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

// The text of a search result, in which ⟦⟧ enclose matches.
export function marked(text) {
  return text.split("⟦").flatMap((part, number) => {
    if (!number) return [part];
    const [match, ...rest] = part.split("⟧");
    return [made("mark", { textContent: match }), rest.join("⟧")];
  });
}

// A notice at the foot of the page that goes after some seconds. Returns a function that removes it.
export function toast(text, action, act, seconds = 6) {
  const stack = root().querySelector(".toasts");
  const node = made("div", { class: "toast", role: "status" }, made("span", { textContent: text }));
  const close = () => { clearTimeout(timer); node.remove(); };
  if (action) node.append(button(action, () => { close(); act(); }, { class: "plain" }));
  const timer = setTimeout(close, seconds * 1000);
  stack.append(node);
  return close;
}

// A menu below a button. `entries`: pairs of text and function, or a node.
export function menu(anchor, label, entries) {
  const list = made("div", { class: "menu", role: "menu", "aria-label": label, popover: "auto" });
  for (const entry of entries) {
    if (entry instanceof Node) list.append(entry);
    else list.append(made("button", { type: "button", role: "menuitem", textContent: entry[0], onclick: () => { list.hidePopover(); entry[1](); } }));
  }
  list.addEventListener("toggle", ({ newState }) => { if (newState === "closed") { list.remove(); } });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") anchor.focus();
    if (!step) return;
    event.preventDefault();
    const all = [...list.querySelectorAll("a, button, input")];
    all[(all.indexOf(root().activeElement) + step + all.length) % all.length]?.focus();
  });
  root().querySelector(".app").append(list);
  list.showPopover();
  const box = anchor.getBoundingClientRect(), size = list.getBoundingClientRect();
  const below = box.bottom + size.height + 8 < innerHeight;
  list.style.top = `${Math.max(8, below ? box.bottom + 4 : box.top - size.height - 4)}px`;
  list.style.left = `${Math.max(8, Math.min(box.left, innerWidth - size.width - 8))}px`;
  list.querySelector("a, button, input")?.focus();
  return list;
}

// A dialog; resolves to the value of the button that closed it, "" for Escape.
export function dialog(title, content, buttons = [], wide = false) {
  const node = made("dialog", { class: `dialog${wide ? " wide" : ""}`, "aria-label": title });
  const close = button("Close", () => node.close(""), { symbol: "close", bare: true, class: "plain shut" });
  const form = made("form", { method: "dialog" }, made("h2", { textContent: title, tabIndex: -1, autofocus: true }), close, ...[content].flat());
  const foot = made("div", { class: "foot" });
  for (const [text, value] of buttons) foot.append(made("button", { value, textContent: text, class: value ? "primary" : "" }));
  form.append(foot);
  node.append(form);
  root().querySelector(".app").append(node);
  node.showModal();
  return new Promise((resolve) => node.addEventListener("close", () => { node.remove(); resolve(node.returnValue); }));
}

// A dialog that asks for a text; resolves to the text, or null.
export async function ask(title, label, value = "", values = {}) {
  const input = made("input", { value, required: true, ...values }), closed = dialog(title, field(label, input), [["Save", "save"]]);
  input.select();
  const answer = await closed;
  return answer === "save" && input.value.trim() ? input.value.trim() : null;
}

let shadow = null;
export function root() {
  return shadow;
}
export function setRoot(node) {
  shadow = node;
}
