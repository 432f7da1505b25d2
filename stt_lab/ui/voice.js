// Plays the original and the enhanced recording of the Voice tab at equal loudness. stt_lab/ui/voice/html.py renders them.
(() => {
  let context = null;
  const gains = new WeakMap();  // audio element -> its GainNode; an element can be connected only once

  const box = (node) => (node instanceof Element ? node.closest(".voice-compare") : null);
  const players = (all) => [...all.querySelectorAll(".voice-sound audio")];

  // A volume above 1 needs the Web Audio API.
  function gain(media) {
    if (!gains.has(media)) {
      const node = context.createGain();
      context.createMediaElementSource(media).connect(node).connect(context.destination);
      gains.set(media, node);
    }
    return gains.get(media).gain;
  }

  function level(all) {
    const equal = all.querySelector("[data-equal]")?.checked ?? false;
    for (const media of players(all)) {
      const decibels = equal ? Number(media.closest(".voice-sound").dataset.gain) : 0;
      if (!decibels && !gains.has(media)) continue;  // plays as it is
      context ??= new AudioContext();
      gain(media).value = 10 ** (decibels / 20);
    }
    if (context?.state === "suspended") context.resume();
  }

  function other(all) {
    const both = players(all);
    const heard = both.findIndex((media) => !media.paused), from = both[Math.max(heard, 0)], to = both[heard === 0 ? 1 : 0];
    const place = heard < 0 ? to.currentTime : from.currentTime;
    from.pause();
    to.currentTime = place;
    to.play().catch(() => {});
  }

  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-other]")) other(box(event.target));
  });
  document.addEventListener("change", (event) => {
    if (event.target instanceof Element && event.target.matches("[data-equal]")) level(box(event.target));
  });
  document.addEventListener("play", (event) => {  // media events do not bubble
    const all = box(event.target);
    if (!all) return;
    level(all);
    for (const media of players(all)) if (media !== event.target) media.pause();
  }, true);
})();
