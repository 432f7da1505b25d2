// Handles clicks in a transcript: play from a word, mark a citation, save a file, copy. stt_lab/ui/html.py and
// stt_lab/ui/text/html.py render the HTML.
(() => {
  // The section of a node: around it, or the text beside a result.
  const result = (node) => node.closest(".stt-result") ?? node.closest("#text-read")?.querySelector(".stt-result");
  const player = (section) => section?.querySelector(".stt-player audio, .stt-player video");

  function seek(section, seconds) {
    const media = player(section);
    if (!media || media.error) return;
    media.currentTime = seconds;
    media.play().catch(() => {});
  }

  // A citation lists ranges as "paragraph:start-end". Marks them, and clears the previous marks.
  function cite(button) {
    const section = result(button), paragraphs = section.querySelectorAll("[data-from]");
    for (const mark of section.querySelectorAll("mark")) {
      const parent = mark.parentNode;
      mark.replaceWith(...mark.childNodes);
      parent.normalize();
    }
    document.querySelector(".stt-followed")?.classList.remove("stt-followed");
    button.classList.add("stt-followed");
    for (const place of button.dataset.marks.split(" ").filter(Boolean)) {
      const [number, start, end] = place.split(/[:-]/).map(Number), text = paragraphs[number]?.firstChild;
      if (!text || end > text.length) continue;
      const range = document.createRange();
      range.setStart(text, start);
      range.setEnd(text, end);
      range.surroundContents(document.createElement("mark"));
    }
    show(section.querySelector("mark"));
    requestAnimationFrame(() => show(section.querySelector("mark")));  // heights of distant elements were estimates
    if (button.dataset.seek) seek(section, Number(button.dataset.seek));
  }

  // Scrolls only the text window, not the page.
  function show(mark) {
    const box = mark?.closest(".stt-window");
    if (!box) return;
    const offset = mark.getBoundingClientRect().top - box.getBoundingClientRect().top;
    box.scrollTop += offset - box.clientHeight / 3;
  }

  function save(button) {
    const file = new Blob([button.querySelector("span").textContent], { type: button.dataset.type + ";charset=utf-8" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: button.dataset.save });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function copy(button) {
    const text = button.parentElement.querySelector("[data-save] span").textContent;
    const label = (word) => { button.textContent = word; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
    if (!navigator.clipboard) return label("Not allowed");  // browsers allow it only on https and localhost
    navigator.clipboard.writeText(text).then(() => label("Copied"), () => label("Not allowed"));
  }

  // Chooses the example recording as if the visitor had.
  async function example() {
    const module = document.querySelector("script[src*='page/'][type=module]").src;
    const sound = await fetch(new URL("example.ogg", module)).then((answer) => answer.blob());
    const chosen = new DataTransfer(), input = document.querySelector("#stt-file input[type=file]");
    chosen.items.add(new File([sound], "example.ogg", { type: "audio/ogg" }));
    input.files = chosen.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // Opens Gradio's page about API clients by the button of its own footer, which page.css hides.
  function clients(event) {
    event.preventDefault();
    const button = document.querySelector("footer .show-api");
    button?.dispatchEvent(new MouseEvent("mouseenter"));
    button?.click();
  }

  // Scrolls to where the result appears: beside the button, or below it on a phone.
  function scrollToResult(button) {
    if (matchMedia("(max-width: 820px)").matches) return button.scrollIntoView();
    const output = document.querySelector("#text-output");
    if (output.getBoundingClientRect().top < 0) output.scrollIntoView();
  }

  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-clients]")) return clients(event);
    if (event.target instanceof Element && event.target.closest("[data-example]")) return example();
    if (event.target instanceof Element && event.target.closest("#text-actions .primary")) return scrollToResult(event.target);
    const node = event.target instanceof Element ? event.target.closest("[data-marks], [data-seek], [data-lane], [data-save], [data-copy]") : null;
    if (!node || !result(node)) return;
    if (node.dataset.save) return save(node);
    if (node.dataset.copy) return copy(node);
    if (node.dataset.marks !== undefined) return cite(node);
    if (node.dataset.seek) return seek(result(node), Number(node.dataset.seek));
    const box = node.getBoundingClientRect();
    seek(result(node), ((event.clientX - box.left) / box.width) * Number(result(node).dataset.duration));
  });

  // Highlights the current word, and moves the playhead of the timeline.
  const words = new WeakMap();  // section -> [[seconds, element], ...]
  document.addEventListener("timeupdate", (event) => {
    const section = event.target instanceof Element ? result(event.target) : null;
    if (!section) return;
    if (!words.has(section)) {
      const spans = [...section.querySelectorAll(".stt-segment p span[data-seek], .stt-segment p[data-from]:not(:has(span))")];
      words.set(section, spans.map((span) => [Number(span.dataset.seek ?? span.dataset.from), span]));
    }
    const now = event.target.currentTime, all = words.get(section);
    let low = 0, high = all.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[middle][0] <= now + 0.05) low = middle + 1; else high = middle;
    }
    section.querySelector(".stt-said")?.classList.remove("stt-said");
    all[low - 1]?.[1].classList.add("stt-said");
    section.style.setProperty("--played", String(now / Number(section.dataset.duration)));
  }, true);

  // Gradio updates the page node by node: another recording may reuse the same section element.
  document.addEventListener("loadstart", (event) => {
    if (event.target instanceof Element) words.delete(result(event.target));
  }, true);

  // Shows a video that the browser cannot decode as an audio player.
  document.addEventListener("loadedmetadata", (event) => {
    if (event.target instanceof HTMLVideoElement && result(event.target) && !event.target.videoWidth) event.target.style.height = "40px";
  }, true);

  // Media events do not bubble, so they are handled in the capture phase.
  document.addEventListener("error", (event) => {
    if (!(event.target instanceof HTMLMediaElement) || !result(event.target)) return;
    event.target.hidden = true;
    event.target.parentElement.querySelector(".stt-silent").hidden = false;
  }, true);
})();
