import { button, dialog, field, made, toast } from "./dom.js";

// Shows a key in the only moment in which that is possible.
export async function shownOnce(key) {
  const input = made("input", { value: key, readOnly: true, class: "secret", onfocus: () => input.select() });
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(key);
      toast("Copied.");
    } catch {
      input.select();  // browsers allow copying by script only on https and localhost
      toast("Press Ctrl+C to copy it.");
    }
  });
  await dialog("Your new key", [made("p", { textContent: "Copy it now: it is shown this one time only." }), field("Key", input), copy]);
}
