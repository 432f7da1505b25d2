// The accounts of the installation, for the administrator.
import { api } from "./api.js";
import { button, dialog, field, made, menu, toast } from "./dom.js";
import { table } from "./figures.js";
import { shownOnce } from "./secret.js";

export class Accounts {
  constructor() {
    Object.assign(this, { title: "Accounts", node: made("div") });
  }

  async open() {
    const { results, damaged } = await api("accounts/");
    const rows = results.map((one) => {
      const more = button(`Actions for ${one.name}`, () => this.menu(more, one), { symbol: "more", bare: true, class: "plain" });
      return [made("b", { textContent: one.name }), one.plan, one.admin ? "administrator" : one.disabled ? "disabled" : "", `${one.credits.toLocaleString("en")} credits`, one.admin ? "" : more];
    });
    const broken = damaged.length ? made("p", { class: "problem", textContent: `Accounts that cannot be read: ${damaged.join(", ")}.` }) : "";
    this.node.replaceChildren(table(["Account", "Plan", "", "Credits", ""], rows, true), broken, button("Create an account", () => this.create()));
  }

  menu(anchor, one) {
    const path = `accounts/${one.id}/`;
    menu(anchor, `Actions for ${one.name}`, [
      ["Create a key", () => this.key(path)],
      ["Change the plan", () => this.change(path, "Change the plan", "Plan: free, paid, unlimited, or your own", "tier", one.plan)],
      ["Grant credits", () => this.grant(path)],
      [one.disabled ? "Enable" : "Disable", () => this.act(() => api(path, { method: "PATCH", body: { disabled: !one.disabled } }))],
    ]);
  }

  async create() {
    const name = made("input", { required: true, maxLength: 120, autofocus: true }), tier = made("input", { value: "free" });
    const answer = await dialog("Create an account", [field("Name", name), field("Plan: free, paid, unlimited, or your own", tier)], [["Cancel", ""], ["Create", "create"]]);
    if (answer === "create") await this.act(() => api("accounts/", { method: "POST", body: { name: name.value.trim(), tier: tier.value.trim() } }));
  }

  async change(path, title, label, member, value) {
    const input = made("input", { value, required: true, autofocus: true });
    const answer = await dialog(title, field(label, input), [["Cancel", ""], ["Save", "save"]]);
    if (answer === "save") await this.act(() => api(path, { method: "PATCH", body: { [member]: input.value.trim() } }));
  }

  async grant(path) {
    const credits = made("input", { type: "number", step: 1, required: true, autofocus: true }), note = made("input", { maxLength: 200 });
    const answer = await dialog("Grant credits", [field("Credits (negative: take back)", credits), field("Reason", note)], [["Cancel", ""], ["Grant", "grant"]]);
    if (answer === "grant") await this.act(() => api(`${path}credits/`, { method: "POST", body: { credits: Number(credits.value), note: note.value } }));
  }

  async key(path) {
    const name = made("input", { required: true, maxLength: 120, autofocus: true });
    const answer = await dialog("Create a key", field("Name", name), [["Cancel", ""], ["Create", "create"]]);
    if (answer !== "create") return;
    await this.act(async () => shownOnce((await api(`${path}keys/`, { method: "POST", body: { name: name.value.trim() } })).key));
  }

  async act(request) {
    try {
      await request();
      await this.open();
    } catch (problem) {
      toast(problem.message);
    }
  }
}
