// Signs out. Nothing of the account stays in this browser, so edits that it keeps are sent first, or asked about.
import { dialog, made, toast } from "./dom.js";
import { forget, sendKept } from "./saving.js";

export async function signOut(event) {
  event.preventDefault();
  const { action } = event.target;  // it is gone after the first wait
  const left = await sendKept();
  if (left.length && !await confirmed(left)) return;
  const answer = await fetch(action, { method: "POST", credentials: "same-origin", redirect: "manual" }).catch(() => null);
  if (answer?.type !== "opaqueredirect") return toast("You are still signed in: the server cannot be reached. Try again later.");
  forget();
  location.assign(new URL("./", document.baseURI));
}

function confirmed(ids) {
  const links = ids.map((id) => made("li", {}, made("a", { href: `#transcript/${id}`, textContent: `Transcript ${id}`, onclick: ({ target }) => target.closest("dialog").close("") })));
  const said = made("p", { textContent: "Edits of these transcripts are not saved, in this tab or in another one. Open a transcript to save them. If you sign out now, they are deleted." });
  return dialog("Edits are not saved", [said, made("ul", { class: "unsaved" }, ...links)], [["Stay signed in", ""], ["Sign out and delete them", "out"]]);
}
