// Clicks in a transcript: play from there, save a file, copy. The HTML is made by stt_lab/ui/html.py.
(() => {
  const result = (node) => node.closest(".stt-result");
  const player = (section) => section?.querySelector(".stt-player audio, .stt-player video");

  function seek(section, seconds) {
    const media = player(section);
    if (!media || media.error) return;
    media.currentTime = seconds;
    media.play().catch(() => {});
  }

  function save(button) {
    const file = new Blob([button.querySelector("span").textContent], { type: button.dataset.type + ";charset=utf-8" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: button.dataset.save });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function copy(button) {
    const text = button.parentElement.querySelector('[data-save$=".txt"] span').textContent;
    const said = (word) => { button.textContent = word; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
    if (!navigator.clipboard) return said("Not allowed");  // browsers give it to https and localhost only
    navigator.clipboard.writeText(text).then(() => said("Copied"), () => said("Not allowed"));
  }

  // Gradio opens its page about clients by a button of its own footer, which page.css hides.
  function clients(event) {
    event.preventDefault();
    const button = document.querySelector("footer .show-api");
    button?.dispatchEvent(new MouseEvent("mouseenter"));
    button?.click();
  }

  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-clients]")) return clients(event);
    const node = event.target instanceof Element ? event.target.closest("[data-seek], [data-lane], [data-save], [data-copy]") : null;
    if (!node || !result(node)) return;
    if (node.dataset.save) return save(node);
    if (node.dataset.copy) return copy(node);
    if (node.dataset.seek) return seek(result(node), Number(node.dataset.seek));
    const box = node.getBoundingClientRect();
    seek(result(node), ((event.clientX - box.left) / box.width) * Number(result(node).dataset.duration));
  });

  // The word that is being said, and the playhead of the timeline.
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

  // A video whose picture the browser cannot decode is played as sound.
  document.addEventListener("loadedmetadata", (event) => {
    if (event.target instanceof HTMLVideoElement && result(event.target) && !event.target.videoWidth) event.target.style.height = "40px";
  }, true);

  // Media events do not bubble, so they are caught on the way down.
  document.addEventListener("error", (event) => {
    if (!(event.target instanceof HTMLMediaElement) || !result(event.target)) return;
    event.target.hidden = true;
    event.target.parentElement.querySelector(".stt-silent").hidden = false;
  }, true);
})();
