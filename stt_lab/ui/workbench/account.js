// The account place: plan and credits, usage, keys; for administrators also models, data and accounts.
import { api } from "./api.js";
import { Accounts } from "./accounts.js";
import { button, day, dialog, field, made, plural, toast } from "./dom.js";
import { chart, table } from "./figures.js";
import { Models, Stored } from "./models.js";
import { shownOnce } from "./secret.js";
import { signOut } from "./signout.js";

const SCOPES = ["speech", "text", "library", "account", "admin"];

export class Account {
  constructor(app, query, id, fail) {
    Object.assign(this, { app, fail, parts: [] });
  }

  address() {
    return "account";
  }

  async open() {
    this.app.replaceChildren(made("p", { class: "loading", textContent: "Loading …" }));
    const [account, keys, usage] = await Promise.all(["account/", "keys/", "usage/"].map((path) => api(path)));
    if (this.closed) return;
    this.keys = made("div");
    const page = made("div", { class: "account" }, section(account.name, about(account)), section("Last 30 days", used(usage)), section("Keys", this.keys));
    this.showKeys(keys.results, account.admin);
    this.app.replaceChildren(page);
    this.parts = account.admin ? [new Models(true), new Stored(), new Accounts()] : [new Models(false)];
    for (const part of this.parts) {
      const body = section(part.title, part.node);
      page.append(body);
      part.open().catch((problem) => body.replaceChildren(made("h2", { textContent: part.title }), made("p", { class: "problem", role: "alert", textContent: problem.message })));
    }
  }

  changed() {}

  close() {
    this.closed = true;
    for (const part of this.parts) part.close?.();
  }

  showKeys(keys, admin) {
    const rows = keys.map((key) => [
      made("span", {}, made("b", { dir: "auto", textContent: key.name }), made("code", { textContent: `${key.prefix}…` })),
      key.scopes.join(", "), key.last_used ? day(key.last_used) : "never",
      button(`Revoke ${key.name}`, () => this.revoke(key, admin), { symbol: "bin", bare: true, class: "plain" }),
    ]);
    const none = made("p", { class: "soft", textContent: "No keys yet. Programs identify themselves with a key." });
    this.keys.replaceChildren(keys.length ? table(["Key", "May use", "Last used", ""], rows, true) : none, button("Create a key", () => this.create(admin)));
  }

  async create(admin) {
    const name = made("input", { required: true, maxLength: 120, autofocus: true, placeholder: "Such as: laptop of Ada" });
    const boxes = SCOPES.filter((scope) => admin || scope !== "admin").map((scope) => made("input", { type: "checkbox", value: scope, checked: scope !== "admin" }));
    const choices = boxes.map((box) => made("label", { class: "choice" }, box, made("span", { textContent: box.value })));
    const answer = await dialog("Create a key", [field("Name", name), made("fieldset", { class: "scopes" }, made("legend", { textContent: "What it may do" }), ...choices)], [["Cancel", ""], ["Create", "create"]]);
    if (answer !== "create" || !name.value.trim()) return;
    const all = !admin && boxes.every((box) => box.checked);  // then those of this session, which may lack some
    const scopes = all ? null : boxes.filter((box) => box.checked).map((box) => box.value);
    await this.tried(async () => {
      const { key } = await api("keys/", { method: "POST", body: { name: name.value.trim(), scopes } });
      await this.refresh(admin);
      await shownOnce(key);
    });
  }

  async revoke(key, admin) {
    const answer = await dialog(`Revoke “${key.name}”?`, made("p", { textContent: "Programs that use it stop working at once. This cannot be undone." }), [["Keep it", ""], ["Revoke", "revoke"]]);
    if (answer !== "revoke") return;
    await this.tried(async () => {
      await api(`keys/${key.id}/`, { method: "DELETE" });
      await this.refresh(admin);
    });
  }

  async refresh(admin) {
    this.showKeys((await api("keys/")).results, admin);
  }

  async tried(act) {
    try {
      await act();
    } catch (problem) {
      toast(problem.message);
    }
  }
}

function section(title, ...content) {
  return made("section", { class: "card", "aria-label": title }, made("h2", { textContent: title, dir: "auto" }), ...content);
}

function about(account) {
  const facts = [["Plan", account.plan], ["Credits", account.credits.toLocaleString("en")]];
  if (account.quota) {
    const { unit, limit, remaining } = account.quota;
    facts.push([`Left of ${limit === null ? "an unlimited number of" : limit} ${unit}`, remaining === null ? "unlimited" : remaining]);
  }
  if (account.email) facts.push(["E-mail", account.email]);
  const list = made("dl", { class: "facts-list" });
  for (const [name, value] of facts) list.append(made("dt", { textContent: name }), made("dd", { textContent: String(value), dir: "auto" }));
  const out = made("form", { method: "post", action: "sign-out", onsubmit: signOut }, made("button", { textContent: "Sign out" }));
  return made("div", { class: "about" }, list, out);
}

function used(usage) {
  const total = made("p", { class: "soft", textContent: `${plural(usage.minutes, "minute")}, ${plural(usage.jobs, "job")}, ${plural(usage.credits, "credit")} in 30 days.` });
  const rows = usage.days.map(({ day: date, minutes, jobs }) => ({ name: date, value: minutes, text: `${date}: ${plural(minutes, "minute")}, ${plural(jobs, "job")}` }));
  return made("div", {}, chart(rows, "Minutes of sound a day"), total);
}
