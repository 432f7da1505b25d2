// The Live tab: sends the microphone's sound to /v1/stream (docs/live.md), and shows the text that comes back.
// stt_lab/ui/live/html.py renders the HTML. What the server sends goes into the page as text, never as HTML.
(() => {
  const RATE = 16000, KEEPALIVE_MS = 20000, TAIL_MS = 250, CLOSING_MS = 120000;
  const LAG_S = 2, LAG_AGE_S = 12, QUIET = 1e-4, QUIET_S = 4;
  const ENDED = "Press Start to begin a new stream.";
  const EXPORTS = ["txt", "srt", "vtt", "json", "docx", "pdf"];
  const DENIED = {
    NotAllowedError: "The browser does not let this page use the microphone. Allow it beside the page's address, then press Start.",
    NotFoundError: "No microphone was found. Connect one, then press Start.",
    OverconstrainedError: "This microphone is no longer there. Choose another one, then press Start.",
    NotReadableError: "The microphone cannot be opened. Close other programs that use it, then press Start.",
  };
  const node = (name) => document.getElementById(`live-${name}`);
  const address = (path) => new URL(path, document.baseURI);
  let stream = null;  // the one that runs

  if (!navigator.mediaDevices) document.documentElement.classList.add("live-insecure");

  function clock(seconds) {
    const whole = Math.floor(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    const two = (number) => String(number).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  }

  function made(tag, text = "", values = {}) {
    return Object.assign(document.createElement(tag), { textContent: text }, values);
  }

  // Sound

  class Microphone {
    // Calls `piece` with 100 ms of PCM and their level, again and again; `lost` if the microphone goes away.
    constructor(piece, lost) {
      Object.assign(this, { piece, lost });
    }

    async open(device) {
      const wanted = { channelCount: 1, ...(device ? { deviceId: { exact: device } } : {}) };
      this.sound = await navigator.mediaDevices.getUserMedia({ audio: wanted });
      if (this.closed) return this.close();
      for (const track of this.sound.getTracks()) track.addEventListener("ended", this.lost);
      const source = await this.source();
      await this.context.audioWorklet.addModule(address("live/worklet.js"));
      if (this.closed) return this.close();
      const recorder = new AudioWorkletNode(this.context, "stt-recorder", { channelCount: 1, channelCountMode: "explicit" });
      recorder.port.onmessage = ({ data }) => this.closed || this.piece(data.pcm, data.level);
      source.connect(recorder).connect(this.context.destination);  // it plays silence; unconnected, some browsers skip it
      await this.context.resume();
    }

    // Firefox connects a microphone only at its own rate; then the worklet resamples.
    async source() {
      try {
        this.context = new AudioContext({ sampleRate: RATE });
        return this.context.createMediaStreamSource(this.sound);
      } catch {
        await this.context?.close();
        this.context = new AudioContext();
        return this.context.createMediaStreamSource(this.sound);
      }
    }

    mute(muted) {
      for (const track of this.sound?.getTracks() ?? []) track.enabled = !muted;
    }

    close() {
      this.closed = true;
      for (const track of this.sound?.getTracks() ?? []) {
        track.removeEventListener("ended", this.lost);
        track.stop();
      }
      if (this.context && this.context.state !== "closed") this.context.close();
    }
  }

  // Lists the microphones. Browsers name them once the page may use one.
  async function listMicrophones() {
    const list = node("microphone");
    if (!list || !navigator.mediaDevices) return;
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "audioinput" && one.deviceId);
    const named = devices.filter((one) => one.label && one.deviceId !== "default" && one.deviceId !== "communications");
    const chosen = list.value;
    list.replaceChildren(made("option", "Default microphone", { value: "" }),
      ...named.map((one) => made("option", one.label, { value: one.deviceId })));
    list.value = named.some((one) => one.deviceId === chosen) ? chosen : "";
  }

  // A stream, from the press of Start to its last message

  class Stream {
    constructor() {
      this.values = { model: node("model").value, language: node("language").value, store: node("store").checked };
      this.phase = "asking";
      this.samples = this.level = this.lag = this.heardAt = this.lagAt = this.end = 0;
      this.waiting = [];  // sound from before the connection
      this.microphone = new Microphone((pcm, level) => this.take(pcm, level), () => this.stop("The microphone was disconnected."));
    }

    async run() {
      clear();
      this.show("asking", "Asking for the microphone …");
      this.clock = setInterval(() => this.tick(), 200);
      try {
        await this.microphone.open(node("microphone").value);
      } catch (problem) {
        return this.finish(DENIED[problem.name] ?? `The microphone cannot be used (${problem.name}).`);
      }
      if (this.phase !== "asking") return;
      listMicrophones();
      navigator.wakeLock?.request("screen").then((lock) => { this.lock = lock; if (this.done) lock.release(); }, () => {});
      this.connect();
    }

    connect() {
      this.show("connecting", "Connecting …");
      const target = address("v1/stream");
      target.protocol = target.protocol.replace("http", "ws");
      this.socket = new WebSocket(target);
      this.socket.onopen = () => {
        this.opened = true;
        this.send(this.values);
        for (const pcm of this.waiting.splice(0)) this.socket.send(pcm);
      };
      this.socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
      this.socket.onclose = ({ code }) => this.closed(code);
    }

    send(values) {
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(values));
    }

    take(pcm, level) {
      this.level = level;
      if (this.phase === "paused") return this.stay();
      if (level > QUIET) this.heardAt = Date.now();
      this.samples += pcm.byteLength / 2;
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(pcm);
      else if (!this.opened) this.waiting.push(pcm);
    }

    // Keeps a paused stream open. The worklet's clock calls this, because browsers slow down the timers of hidden pages.
    stay() {
      if (Date.now() - this.stayedAt < KEEPALIVE_MS) return;
      this.stayedAt = Date.now();
      this.send({ action: "keepalive" });
    }

    hear(message) {
      if (this.done) return;
      if (message.error) this.fail(message);
      if (message.status === "loading" && this.phase === "connecting") this.show("loading", "Loading the model. You can speak already …");
      if (message.status === "ready") this.ready(message);
      if (message.status === "alive") [this.lag, this.lagAt] = [message.lag, Date.now()];
      if (message.text) addFinal(message.text, message.start ?? this.end);
      if (message.end) this.end = message.end;
      if (message.partial !== undefined) showPartial(message.partial, message.stable ?? 0);
      if (message.final) this.last = message;
    }

    fail(message) {
      this.problem = message.error;
      this.mustSignIn = message.code === "unauthorized";
      if (["connecting", "loading"].includes(this.phase)) this.socket.close();  // it would wait for another configuration
    }

    ready(message) {
      this.warning = (message.warnings ?? []).join(" ");
      this.heardAt = Date.now();
      if (["connecting", "loading"].includes(this.phase)) this.listen();
    }

    listen() {
      this.quiet = false;
      this.show("listening", ["Listening.", this.warning].filter(Boolean).join(" "));
    }

    pause() {
      if (this.phase === "paused") {
        this.microphone.mute(false);
        this.heardAt = Date.now();
        return this.listen();
      }
      if (this.phase !== "listening") return;
      this.show("paused", "Paused. Nothing is sent.");
      this.microphone.mute(true);
      this.send({ action: "finalize" });  // no silence comes that would make the last words final
      this.stayedAt = Date.now();
    }

    // Ends the stream: the server makes the rest final, and closes.
    stop(reason = "") {
      if (["finishing", "ended"].includes(this.phase)) return;
      this.reason = reason;
      if (!this.opened) return this.leave(reason || "Stopped.", !reason);
      const paused = this.phase === "paused";
      this.show("finishing", "Finishing …");
      setTimeout(() => {  // what is on its way from the microphone
        this.microphone.close();
        this.send({ action: "stop" });
      }, paused ? 0 : TAIL_MS);
      this.patience = setTimeout(() => this.leave("The server did not finish in time."), CLOSING_MS);
    }

    // Ends it at once.
    leave(reason, well = false) {
      this.finish(reason, well);
      this.socket?.close();
    }

    closed(code) {
      if (this.done) return;
      if (this.problem) return this.finish(this.problem);
      if (this.last && code === 1000) return this.finish(this.reason || "Done.", !this.reason);
      if (!this.opened) return this.finish("The server cannot be reached.");
      const why = code === 1006 ? "The connection to the server was lost." : `The server closed the connection (${code}).`;
      this.finish(`${why} ${this.values.store ? "What it had heard is in the library." : ""}`.trim());
    }

    finish(reason, well = false) {
      if (this.done) return;
      this.done = true;
      clearInterval(this.clock);
      clearTimeout(this.patience);
      this.microphone.close();
      this.lock?.release();
      stream = null;
      this.tick();
      this.level = 0;
      this.show("ended", well ? reason : `${this.opened ? "Ended: " : ""}${reason}${this.opened ? ` ${ENDED}` : ""}`, !well);
      if (this.mustSignIn) node("state").append(" ", made("a", "Sign in", { href: "sign-in" }));
      if (this.last?.id) showKept(this.last.id);
      showLevel(0);
      if (!node("finals").children.length && !node("stable").textContent) node("empty").hidden = false;
    }

    tick() {
      node("elapsed").textContent = clock(this.samples / RATE);
      showLevel(["asking", "paused"].includes(this.phase) ? 0 : this.level);
      const heard = Date.now() - this.lagAt < LAG_AGE_S * 1000 ? this.lag : 0;
      const lag = heard + (this.socket?.bufferedAmount ?? 0) / (2 * RATE);
      node("lag").hidden = this.done || lag <= LAG_S;
      node("lag").textContent = `${lag.toFixed(0)} s behind`;
      const quiet = this.phase === "listening" && Date.now() - this.heardAt > QUIET_S * 1000;
      if (quiet && !this.quiet) this.show("listening", "Listening, but the microphone is silent. Is it muted, or is another one in use?");
      if (!quiet && this.quiet) this.listen();
      this.quiet = quiet;
    }

    show(phase, text, error = false) {
      this.phase = phase;
      const state = node("state");
      if (state.textContent !== text) state.textContent = text;
      state.dataset.phase = error ? "error" : phase;
      const runs = phase !== "ended";
      document.querySelector(".live-form").classList.toggle("live-runs", runs);
      node("start").textContent = runs ? "Stop" : "Start";
      node("start").disabled = phase === "finishing";
      node("start").classList.toggle("live-stops", runs);
      node("pause").textContent = phase === "paused" ? "Resume" : "Pause";
      node("pause").disabled = !["listening", "paused"].includes(phase);
      for (const name of ["microphone", "model", "language", "store"]) node(name).disabled = runs;
    }
  }

  // Text

  const lines = () => [...node("finals").querySelectorAll(".live-said")].map((one) => one.textContent);

  // Scrolls to the newest text, unless somebody reads further up.
  function following(change) {
    const box = node("text"), follows = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    change();
    if (follows) box.scrollTop = box.scrollHeight;
  }

  function addFinal(text, start) {
    const line = made("li");
    line.append(made("time", clock(start)), " ", made("span", text, { className: "live-said", dir: "auto" }));
    following(() => node("finals").append(line));
    node("empty").hidden = true;
    node("actions").hidden = false;
  }

  function showPartial(text, stable) {
    const letters = Array.from(text);  // the server counts code points
    following(() => {
      node("stable").textContent = letters.slice(0, stable).join("");
      node("unstable").textContent = letters.slice(stable).join("");
    });
    if (text) node("empty").hidden = true;
  }

  // Puts the text of the last stream below, so that Start loses nothing.
  function clear() {
    if (lines().length) {
      const earlier = made("details");
      earlier.append(made("summary", `Earlier text, ${lines().length} lines`), made("p", lines().join("\n")));
      node("earlier").prepend(earlier);
    }
    node("finals").replaceChildren();
    showPartial("", 0);
    node("actions").hidden = node("kept").hidden = true;
    node("empty").hidden = false;
  }

  function showLevel(level) {
    const decibels = 20 * Math.log10(level || 1e-9);
    node("level").style.setProperty("--level", Math.max(0, Math.min(1, (decibels + 60) / 60)).toFixed(3));
  }

  function showKept(id) {
    const place = `api/v1/transcripts/${encodeURIComponent(id)}/`, link = (text, path) => made("a", text, { href: address(place + path), download: "" });
    const text = made("button", "Open the Text tab", { type: "button", className: "stt-button" });
    text.addEventListener("click", () => document.getElementById("stt-tab-text-button")?.click());
    const files = made("p", "Files: ");
    files.append(...EXPORTS.flatMap((one) => [link(one.toUpperCase(), `export/${one}/`), " "]), link("Recording", "audio/"));
    node("kept").replaceChildren(made("p", `Kept in the library as transcript ${id}.`), files, text);
    node("kept").hidden = false;
  }

  function save() {
    const file = new Blob([`${lines().join("\n")}\n`], { type: "text/plain;charset=utf-8" });
    const link = made("a", "", { href: URL.createObjectURL(file), download: "live.txt" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function copy() {
    const label = (word) => { node("copy").textContent = word; setTimeout(() => { node("copy").textContent = "Copy"; }, 1500); };
    if (!navigator.clipboard) return label("Not allowed");  // browsers allow it only on https and localhost
    navigator.clipboard.writeText(lines().join("\n")).then(() => label("Copied"), () => label("Not allowed"));
  }

  function start() {
    if (stream) return stream.stop();
    stream = new Stream();
    stream.run();
  }

  const actions = { "live-start": start, "live-pause": () => stream?.pause(), "live-copy": copy, "live-save": save };
  document.addEventListener("click", ({ target }) => {
    if (target instanceof Element) actions[target.closest("button")?.id]?.();
  });
  document.addEventListener("focusin", ({ target }) => { if (target.id === "live-microphone") listMicrophones(); });
  navigator.mediaDevices?.addEventListener("devicechange", listMicrophones);
  addEventListener("beforeunload", (event) => { if (stream) event.preventDefault(); });  // text that is not kept would be lost
  addEventListener("pagehide", () => stream?.leave("The page was left."));
})();
