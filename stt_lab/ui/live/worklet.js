// Turns the microphone's sound into 16-bit PCM at 16 kHz, in pieces of 100 ms. Runs in an AudioWorklet.
const RATE = 16000, PIECE = RATE / 10;
const PHASES = 160;  // places between two samples: of 44.1 and 48 kHz, every sample at 16 kHz lies on one of them
const CROSSINGS = 12;  // of the filter, on each side

// Changes the rate by a windowed sinc, which also removes what is above half of the lower rate.
class Resampler {
  constructor(from, to) {
    this.step = from / to;
    const cut = 0.94 * Math.min(1, to / from);
    this.reach = Math.ceil(CROSSINGS / cut);
    this.filters = Array.from({ length: PHASES }, (_, phase) => this.filter(phase / PHASES, cut));
    this.sound = new Float32Array(2 * this.reach);  // silence before the beginning
    this.at = this.reach;  // of the next sample, in `sound`
  }

  filter(fraction, cut) {
    const made = new Float32Array(2 * this.reach);
    for (let i = 0; i < made.length; i++) {
      const x = i - this.reach + 1 - fraction, angle = Math.PI * x * cut;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (this.reach + 1));
      made[i] = cut * window * (x ? Math.sin(angle) / angle : 1);
    }
    return made;
  }

  push(more) {
    const all = new Float32Array(this.sound.length + more.length), made = [];
    all.set(this.sound);
    all.set(more, this.sound.length);
    for (; Math.ceil(this.at) + this.reach < all.length; this.at += this.step) {
      let whole = Math.floor(this.at), phase = Math.round((this.at - whole) * PHASES);
      if (phase === PHASES) { whole += 1; phase = 0; }
      const filter = this.filters[phase], first = whole - this.reach + 1;
      let sum = 0;
      for (let i = 0; i < filter.length; i++) sum += filter[i] * all[first + i];
      made.push(sum);
    }
    const done = Math.floor(this.at) - this.reach;
    this.sound = all.slice(done);
    this.at -= done;
    return made;
  }
}

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = sampleRate === RATE ? null : new Resampler(sampleRate, RATE);
    this.clear();
  }

  clear() {
    this.piece = new Int16Array(PIECE);
    this.filled = this.power = 0;
  }

  process([[sound]]) {
    if (!sound) return true;
    for (const sample of this.resampler ? this.resampler.push(sound) : sound) {
      const value = Math.max(-1, Math.min(1, sample));
      this.power += value * value;
      this.piece[this.filled++] = Math.round(value * 32767);
      if (this.filled === PIECE) this.send();
    }
    return true;
  }

  send() {
    const pcm = this.piece.buffer;
    this.port.postMessage({ pcm, level: Math.sqrt(this.power / PIECE) }, [pcm]);
    this.clear();
  }
}

registerProcessor("stt-recorder", Recorder);
