// The Library tab and the addresses of all places: #library, #transcript/12, #account, and #live, #text, … for the other tabs.
import { Account } from "./account.js";
import { made, setRoot, button } from "./dom.js";
import { Problem } from "./api.js";
import { Library } from "./library.js";
import { Transcript } from "./transcript.js";

const TAB = /^stt-tab-(\w+)-button$/;
const HOSTED = { library: Library, transcript: Transcript, account: Account };

const styles = made("link", { rel: "stylesheet", href: new URL("workbench.css", import.meta.url).href });
const app = made("div", { class: "app" });
const toasts = made("div", { class: "toasts" });
let shown = null, host = null, at = "", ready = false;

// Gradio may make the element anew; what is shown moves along.
function mount() {
  if (!ready && tabs().length) {
    ready = true;
    route();
  }
  const found = document.querySelector(".stt-workbench");
  if (!found || found === host) return;
  host = found;
  const shadow = found.shadowRoot ?? found.attachShadow({ mode: "open" });
  setRoot(shadow);
  shadow.append(styles, app, toasts);
  for (const kind of ["keydown", "keyup", "keypress"]) shadow.addEventListener(kind, (event) => event.stopPropagation());
  host.styled = false;
  styles.onload = styles.onerror = () => { host.styled = true; route(); };
}

const hash = () => location.hash.slice(1);
const tabs = () => [...document.querySelectorAll("#stt-tabs [role=tab]")].filter((one) => TAB.test(one.id));
const named = (tab) => tab.id.match(TAB)[1];
const selected = () => tabs().find((one) => one.getAttribute("aria-selected") === "true");

function route() {
  const [, name, id, query] = hash().match(/^([\w-]*)(?:\/([^?]*))?(?:\?(.*))?$/) ?? [];
  const wanted = HOSTED[name] ? "library" : name;
  const tab = tabs().find((one) => named(one) === wanted);
  if (tab && tab !== selected()) tab.click();
  if (host?.styled && HOSTED[name]) show(name, id, new URLSearchParams(query));
}

function show(name, id, query) {
  const address = `${name}/${id ?? ""}`;
  if (at === address && shown) return shown.changed(query);
  shown?.close();
  at = address;
  toasts.className = "toasts";
  shown = new HOSTED[name](app, query, id, fail);
  shown.open().catch((problem) => fail(problem, shown));
}

function fail(problem, place) {
  if (place !== shown || problem.name === "AbortError") return;
  if (!(problem instanceof Problem)) console.error(problem);
  const signIn = problem.status === 401;
  const said = signIn ? "Please sign in with your key to see your account and its transcripts." : problem.message;
  const notice = made("div", { class: `notice${signIn ? "" : " error"}`, role: "alert" }, made("p", { textContent: said }));
  if (signIn) notice.append(made("a", { href: "sign-in", textContent: "Sign in" }));
  else notice.append(button("Try again", () => { at = ""; route(); }), made("a", { href: "#library", textContent: "To the library" }));
  app.replaceChildren(notice);
}

// A tab that is chosen becomes the address; the Library tab returns to the list or transcript that it shows.
function chosen(tab) {
  const name = named(tab), current = hash().split(/[/?]/)[0];
  if (name === current || (name === "library" && HOSTED[current])) return;
  location.hash = name === "library" && shown ? shown.address() : name;
}

document.addEventListener("click", ({ target }) => {
  const tab = target instanceof Element ? target.closest("#stt-tabs [role=tab]") : null;
  if (!tab || !TAB.test(tab.id)) return;
  if (named(tab) === "library" && named(tab) === named(selected() ?? tab) && hash().startsWith("transcript")) location.hash = "library";
  else setTimeout(() => chosen(tab));
}, true);
addEventListener("hashchange", route);
new MutationObserver(mount).observe(document.documentElement, { childList: true, subtree: true });
mount();
