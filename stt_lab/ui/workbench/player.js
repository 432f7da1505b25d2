// The player: a slim bar with the waveform, and the place in the recording.
import { address, api, place } from "./api.js";
import { button, clock, made, select } from "./dom.js";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2], SKIP_S = 5, PEAKS = 6000, PER_SECOND = 20;
const LIBRARY = new URL("wavesurfer.min.js", import.meta.url).href;

let loading = null;
function wavesurfer() {
  loading ??= new Promise((resolve, reject) => {
    document.head.append(made("script", { src: LIBRARY, onload: () => resolve(window.WaveSurfer), onerror: reject }));
  });
  return loading;
}

export class Player {
  // `moved(seconds)` is called on each step of playback and after a jump.
  constructor(info, { moved, problem }) {
    Object.assign(this, { info, moved, duration: info.duration });
    this.media = made("video", { preload: "metadata", src: address(place(info.id, "audio/")).href, playsInline: true, hidden: true, tabIndex: -1 });
    this.toggle = button("Play", () => this.play(), { symbol: "play", bare: true, class: "play primary" });
    this.now = made("span", { class: "now", textContent: `0:00 / ${clock(this.duration)}` });
    this.slider = made("input", { type: "range", min: 0, max: this.duration, step: 0.1, value: 0, "aria-label": "Place in the recording", oninput: () => this.seek(Number(this.slider.value)) });
    this.wave = made("div", { class: "wave" });
    this.speed = select(SPEEDS.map((one) => [String(one), `${one}×`]), "1", (value) => { this.media.playbackRate = Number(value); }, { "aria-label": "Speed", title: "Speed" });
    const skips = [button("Back 5 seconds", () => this.skip(-SKIP_S), { symbol: "rewind", bare: true, class: "plain" }),
      button("Forward 5 seconds", () => this.skip(SKIP_S), { symbol: "forward", bare: true, class: "plain" })];
    this.node = made("section", { class: "player", "aria-label": "Player" }, skips[0], this.toggle, skips[1],
      made("div", { class: "track" }, this.wave, this.slider), this.now, this.speed);
    this.media.addEventListener("loadedmetadata", () => { this.media.hidden = !this.media.videoWidth; });
    this.media.addEventListener("error", () => { this.node.hidden = true; problem(); });
    for (const kind of ["play", "pause"]) this.media.addEventListener(kind, () => this.changed());
    this.media.addEventListener("seeked", () => this.step());
    this.draw().catch(() => {});  // the slider does without peaks
  }

  get playing() {
    return !this.media.paused;
  }

  async draw() {
    const per_second = Math.max(1, Math.min(PER_SECOND, Math.floor(PEAKS / this.duration)));
    const { peaks, duration } = await api(place(this.info.id, "peaks/"), { query: { per_second } });
    const WaveSurfer = await wavesurfer();
    if (this.closed) return;
    const colour = (name) => getComputedStyle(this.node).getPropertyValue(name).trim();
    this.surfer = WaveSurfer.create({
      container: this.wave, media: this.media, peaks: [peaks], duration, height: 36, barWidth: 2, barGap: 1, barRadius: 1, normalize: true,
      waveColor: colour("--wave"), progressColor: colour("--s0"), cursorColor: colour("--s3"), cursorWidth: 1, interact: false,
    });
    this.node.classList.add("drawn");
  }

  play() {
    this.playing ? this.media.pause() : this.media.play().catch(() => {});
  }

  hear(seconds) {
    this.seek(seconds);
    this.media.play().catch(() => {});
  }

  seek(seconds) {
    this.media.currentTime = Math.max(0, Math.min(this.duration, seconds));
    this.step();
  }

  skip(seconds) {
    this.seek(this.media.currentTime + seconds);
  }

  faster(step) {
    const at = SPEEDS.indexOf(Number(this.speed.value));
    this.speed.value = String(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at + step))]);
    this.media.playbackRate = Number(this.speed.value);
  }

  changed() {
    const text = this.playing ? "Pause" : "Play";
    const fresh = button(text, () => this.play(), { symbol: text.toLowerCase(), bare: true, class: "play primary" });
    this.toggle.replaceChildren(...fresh.childNodes);
    this.toggle.setAttribute("aria-label", text);
    this.toggle.title = text;
    const tick = () => {
      if (!this.playing || this.closed) return;
      this.step();
      requestAnimationFrame(tick);
    };
    tick();
  }

  step() {
    const seconds = this.media.currentTime, text = `${clock(seconds)} / ${clock(this.duration)}`;
    if (this.now.textContent !== text) {
      this.now.textContent = text;
      this.slider.setAttribute("aria-valuetext", clock(seconds));
    }
    this.slider.value = seconds;
    this.slider.style.setProperty("--played", seconds / this.duration);
    this.moved(seconds);
  }

  close() {
    this.closed = true;
    this.surfer?.destroy();
    this.media.pause();
    this.media.removeAttribute("src");
    this.media.load();
  }
}
