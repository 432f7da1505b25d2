"""Choose the voice of Kokoro that comes nearest to a reference: packs, mixtures of the best ones, and the pitch.

Two encoders decide together, each measured by how far above the usual pack a candidate is. The packs' own vectors were
computed once (`eval/tts.py packs`) and are shipped; mixtures are spoken and measured for each reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from stt_lab.engines.activity import VoiceActivity
from stt_lab.engines.phonemes import KEPT, phonemes
from stt_lab.engines.protocols import VoiceCopy, VoiceMatch, VoiceMix
from stt_lab.engines.voice_print import VoiceEncoders, VoicePrint
from stt_lab.errors import BadInput
from stt_lab.types import SAMPLE_RATE, Event

if TYPE_CHECKING:
    from stt_lab.engines.protocols import EngineSpec
    from stt_lab.types import Audio, Report, Samples

TABLE = Path(__file__).with_name("kokoro_packs.npz")
PHRASE = "ðə kwˈɪk bɹˈWn fˈɑks ʤˈʌmps ˈOvəɹ ðə lˈAzi dˈɔɡ."  # what candidates say
BEST = 3  # packs that are mixed
VOICED = 0.5  # probability of voice from which a block counts
LEAST_VOICE_S = 1.5  # seconds of voice that a reference must have
LEAST_VOICE_SHARE = 0.3  # of a sound that is not silent; below it, it is music or noise
TURN_S, TURN_STEP_S = 1.5, 0.75  # windows in which the voice must be the same
UNCOUNTED = f"{KEPT}ˈˌː-"  # in phonemes: marks, stress and length
DIFFERENT = 0.35  # similarity (CAM++) between two groups of windows below which two people speak (eval/LOG.md)
PITCHES = (0.88, 1.14)  # ratios by which a pitch may be moved; beyond, the voice sounds like a trick
USUAL_RATE = {"en": 14.3}  # phonemes a second of voice, of Kokoro at speed 1 (eval/tts.py rate)
RATES = (0.8, 1.25)  # ratios by which the speed may be moved
LEAST_PHONEMES = 15  # that a rate is measured by
LOWEST_HZ, HIGHEST_HZ = 65.0, 400.0  # of pitches


class Sayer(Protocol):
    """What speaks candidates."""

    spec: EngineSpec

    def say(self, spoken: str, voice: VoiceMix, speed: float) -> Samples: ...


@dataclass(frozen=True)
class Candidate:
    """A voice, its vectors and its pitch."""

    voice: VoiceMix
    print: VoicePrint
    pitch: float  # Hz


class Matcher:
    """Matches references. Keeps the encoders loaded."""

    def __init__(self, speaker: Sayer) -> None:
        self._speaker = speaker
        folders = dict(speaker.spec.extra)
        self.encoders = VoiceEncoders(folders["campplus"], folders["dvector"])
        self._packs = packs(TABLE) if TABLE.exists() else ()  # without it while the table itself is made

    def match(self, audio: Audio, report: Report, copy: VoiceCopy | None = None) -> VoiceMatch:
        report(Event("checking", 0.0))
        sound = self.check(audio)
        wanted, pitch = self.encoders.print_of(sound), median_pitch(sound)
        table = np.array([one.print.similarities(wanted) for one in self._packs])  # (packs, 2)
        usual, spread = table.mean(axis=0), table.std(axis=0)

        def score(one: Candidate) -> float:
            return float(((np.array(one.print.similarities(wanted)) - usual) / spread).mean())

        best = sorted(self._packs, key=score, reverse=True)[:BEST]
        mixtures = [_mixed(pair) for pair in combinations(best, 2)] + [_mixed(best[:3])]
        found = list(best)
        for number, voice in enumerate(mixtures):
            report(Event("checking", (number + 1) / (len(mixtures) + 2)))
            found.append(self.candidate(voice))
        chosen = max(found, key=score)
        ratio = float(np.clip(pitch / chosen.pitch, *PITCHES)) if pitch and chosen.pitch else 1.0
        if abs(ratio - 1) > 0.02:
            moved = self.candidate(replace(chosen.voice, pitch=ratio))
            chosen = max((chosen, moved), key=score)
        moved_voice = replace(chosen.voice, rate=rate_ratio(copy, len(sound) / SAMPLE_RATE) if copy else 1.0)
        return VoiceMatch(moved_voice, float(np.mean(chosen.print.similarities(wanted))))

    def check(self, audio: Audio) -> Samples:
        """Return the voice in a reference. Raises BadInput for music, noise, too little speech and two voices."""
        return checked(audio, self.encoders)

    def candidate(self, voice: VoiceMix) -> Candidate:
        """Speak the phrase in a voice, and measure it."""
        from scipy.signal import resample_poly

        sound = resample_poly(self._speaker.say(PHRASE, voice, 1.0), 2, 3).astype(np.float32)  # 24 to 16 kHz
        return Candidate(voice, self.encoders.print_of(sound), median_pitch(sound))


def checked(audio: Audio, encoders: VoiceEncoders) -> Samples:
    """Return the voice in a reference. Raises BadInput for music, noise, too little speech and two voices."""
    sound = voiced(audio.read())
    size, step = round(TURN_S * SAMPLE_RATE), round(TURN_STEP_S * SAMPLE_RATE)
    starts = range(0, max(1, len(sound) - size + 1), step)
    vectors = np.stack([encoders.campplus(sound[at : at + size]) for at in starts])
    if between_groups(vectors @ vectors.T) < DIFFERENT:
        raise BadInput("Two people speak in the reference. Send a recording of one voice.")
    return sound


def _mixed(some: Any) -> VoiceMix:
    return VoiceMix(tuple((one.voice.parts[0][0], 1 / len(some)) for one in some))


def between_groups(similarities: Any) -> float:
    """Return how similar the two most different groups of windows are; 1 for a single window.

    It is the mean of the lowest quarter of the pairs, because windows that hold both voices are like either.
    """
    if len(similarities) < 2:
        return 1.0
    values, vectors = np.linalg.eigh(similarities - similarities.mean(axis=0) - similarities.mean(axis=1)[:, None])
    side = vectors[:, np.argmax(values)] > 0
    if side.all() or not side.any():
        return 1.0
    pairs = np.sort(similarities[np.ix_(side, ~side)], axis=None)
    return float(pairs[: -(-len(pairs) // 4)].mean())


def voiced(sound: Samples) -> Samples:
    """Return the parts with a voice, joined. Raises BadInput for music, noise and too little speech."""
    blocks = VoiceActivity().push(sound)
    size = len(sound) // max(1, len(blocks))
    loud = np.array(blocks) > VOICED
    seconds = float(loud.sum()) * size / SAMPLE_RATE
    if seconds < LEAST_VOICE_SHARE * len(sound) / SAMPLE_RATE:
        raise BadInput("The reference has music or noise, but hardly a voice. Send 3 to 10 s of one person speaking.")
    if seconds < LEAST_VOICE_S:
        raise BadInput(f"The reference has only {seconds:.1f} s of speech. Send one in which the voice speaks longer.")
    kept = np.repeat(loud, size)
    made: Samples = sound[: len(kept)][kept]
    return made


def rate_ratio(copy: VoiceCopy, voice_s: float) -> float:
    """Return how much faster the words of a reference are spoken than Kokoro would; 1 where that is not known."""
    if copy.language not in USUAL_RATE:
        return 1.0
    count = sum(char not in UNCOUNTED for char in phonemes(copy.words, copy.language))
    if count < LEAST_PHONEMES:
        return 1.0
    return float(np.clip(count / voice_s / USUAL_RATE[copy.language], *RATES))


def median_pitch(sound: Samples) -> float:
    """Return the median of the fundamental frequency in Hz, by autocorrelation; 0 if nothing is periodic."""
    size, step = round(0.04 * SAMPLE_RATE), round(0.01 * SAMPLE_RATE)
    shortest, longest = int(SAMPLE_RATE / HIGHEST_HZ), int(SAMPLE_RATE / LOWEST_HZ)
    frames = np.lib.stride_tricks.sliding_window_view(sound, size + longest)[::step]
    energy = np.square(frames).mean(axis=1)
    frames = frames[energy > 0.1 * np.percentile(energy, 90)] if len(frames) else frames
    found = []
    for frame in frames:
        head = frame[:size]
        products = np.correlate(frame, head, "valid")  # (longest + 1,)
        power = np.convolve(np.square(frame), np.ones(size), "valid")
        shape = products / np.sqrt(power * power[0] + 1e-12)
        peak = shortest + int(np.argmax(shape[shortest:]))
        nearest = _first_peak(shape, shortest, 0.9 * shape[peak])
        if shape[nearest] > 0.6:
            found.append(SAMPLE_RATE / nearest)
    return float(np.median(found)) if found else 0.0


def _first_peak(shape: Any, start: int, least: float) -> int:
    """Return the first local maximum that is nearly as high as the highest: a multiple of the period is one, too."""
    inner = shape[start + 1 : -1]
    peaks = np.flatnonzero((inner >= shape[start:-2]) & (inner >= shape[start + 2 :]) & (inner >= least))
    return start + 1 + int(peaks[0]) if len(peaks) else start + int(np.argmax(shape[start:]))


def packs(path: Path) -> tuple[Candidate, ...]:
    """Read the vectors and pitches of all packs."""
    with np.load(path, allow_pickle=False) as table:
        rows = zip(table["names"], table["campplus"], table["dvector"], table["pitches"], strict=True)
        return tuple(
            Candidate(VoiceMix(((str(name), 1.0),)), VoicePrint(campplus, dvector), float(pitch))
            for name, campplus, dvector, pitch in rows
        )
