"""How well texts are spoken, how near the voices come, and what it costs.

    python eval/tts.py packs        vectors and pitches of the stock voices, for stt_lab/engines/kokoro_packs.npz
    python eval/tts.py trip         60 sentences spoken and recognised again, beside their real recordings
    python eval/tts.py similarity   voices matched to readers, judged by Resemblyzer (--judge names its pretrained.pt)
    python eval/tts.py rate         how near the speed of voices comes to that of readers
    python eval/tts.py references   what the check of references says of single voices, two voices, music and noise

Recordings come from STT_LAB_SPEECH_DIR; results go to eval/results/tts.json. Intervals are drawn by sentence or reader.
"""

from __future__ import annotations

import argparse
import json
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample_poly

import stt_lab
from stt_lab import metrics
from stt_lab.engines.kokoro import KokoroSpeaker
from stt_lab.engines.phonemes import phonemes
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import EngineSpec, VoiceCopy, VoiceMix
from stt_lab.engines.voice_match import TABLE, UNCOUNTED, Matcher, packs, rate_ratio, voiced
from stt_lab.errors import BadInput
from stt_lab.runtime import local_runtime
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE, Audio, silent
from stt_lab.voice.speech import SpeechPlan, lines_of
from stt_lab.voice.speech import spoken as sentences_of
from stt_lab.weights import catalog

RESULTS = Path(__file__).parent / "results" / "tts.json"
MEETINGS = ("FEO066",)  # people whose recordings have others in them
SENTENCES = ("ljspeech/", "fleurs_cuttledoc/fleurs-en", "fleurs_earnings_whisperstt/", "fleurs_speechmatics/")
READERS = ("librispeech_test_other/", "librispeech_misc/", "ljspeech/", "vctk_noisy/clean", "librivox_", "jfk")
TEXT = "The morning train was late again, so everybody waited on the platform."
DRAWS = 2000


def rows() -> list[dict[str, Any]]:
    path = get_settings().speech_dir / "manifest.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def read(path: Path) -> np.ndarray:
    with local_runtime().decoder.decode(path) as audio:
        return audio.read()


def speaker() -> KokoroSpeaker:
    model, settings = catalog.get("kokoro-82m"), get_settings()
    folder = catalog.locate(model, settings)
    assert folder is not None
    return KokoroSpeaker(EngineSpec(folder, model.id, threads=1, extra=catalog.extra(model, settings)))


def wav(path: Path, sound: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(np.clip(np.rint(sound * 32768), -32768, 32767).astype("<i2").tobytes())
    return path


def pcm(path: Path, sound: np.ndarray) -> Audio:
    path.write_bytes(np.clip(np.rint(sound * 32768), -32768, 32767).astype("<i2").tobytes())
    return Audio(path, len(sound))


def make_packs(folder: Path) -> dict[str, Any]:
    one = speaker()
    matcher = Matcher(one)
    found = {name: matcher.candidate(VoiceMix(((name, 1.0),))) for name in one.voices()}
    prints = [candidate.print for candidate in found.values()]
    np.savez_compressed(
        TABLE,
        names=np.array(list(found)),
        campplus=np.stack([one.campplus for one in prints]),
        dvector=np.stack([one.dvector for one in prints]),
        pitches=np.array([candidate.pitch for candidate in found.values()], np.float32),
    )
    return {name: round(candidate.pitch, 1) for name, candidate in found.items()}


def trip(folder: Path, count: int = 60) -> dict[str, Any]:
    """WER of spoken sentences and of their real recordings, CPU, and the largest step from a sample to the next."""
    chosen = [row for row in rows() if row["path"].startswith(SENTENCES + READERS) and row["language"] == "en"]
    chosen.sort(key=lambda row: not row["path"].startswith(SENTENCES))  # first of FLEURS and LJ Speech, which are 40
    chosen = [row for row in chosen if row.get("text") and 1.5 <= row["duration_s"] <= 14][:count]
    reference = folder / "reference.wav"
    wav(reference, reader_sounds()[0][1][: 8 * SAMPLE_RATE])
    spoken, real, steps, cpu, seconds = [], [], [], 0.0, 0.0
    one = speaker()
    voice = Matcher(one).match(pcm(folder / "reference.pcm", read(reference)), silent).voice
    for row in chosen:
        began = time.process_time()
        plan = SpeechPlan(catalog.get("kokoro-82m"), "en", lines_of(row["text"], "en"))
        pieces = [piece for piece, _ in sentences_of(Alone(one), plan, voice, 1.0, silent)]
        cpu += time.process_time() - began
        made = np.frombuffer(b"".join(pieces), "<i2") / 32768
        seconds += len(made) / 24_000
        steps.append(float(np.abs(np.diff(made)).max()))
        heard = wav(folder / "spoken.wav", resample_poly(made, 2, 3))
        spoken.append(errors(row["text"], heard))
        real.append(errors(row["text"], get_settings().speech_dir / row["path"]))
        print(row["id"], spoken[-1].rate, real[-1].rate, round(steps[-1], 3), flush=True)
    table = {name: share(found) for name, found in (("spoken", spoken), ("real", real))}
    return {"sentences": len(chosen), **table, "cpu_per_second": cpu / seconds, "largest_step": max(steps)}


class Alone(Pool):
    """A pool whose only engine works here, whose processor time is measured."""

    def __init__(self, engine: KokoroSpeaker) -> None:
        self._engine = engine

    def speak(self, model: Any, *arguments: Any) -> Any:
        return self._engine.speak(*arguments)


def errors(text: str, path: Path) -> metrics.WordErrors:
    found = stt_lab.transcribe(path, model="base", language="en", diarize=False)
    return metrics.wer([text], [found.text], "whisper_en")


def share(found: list[Any]) -> dict[str, float]:
    total = metrics.pool(found)
    low, high = metrics.bootstrap(found, 15)
    return {"wer": total.rate, "low": low, "high": high}


def reader_sounds() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Readers with a reference of 8 s, or of 6 s where there is little, and other sound of theirs."""
    by_reader: dict[str, list[Path]] = {}
    for row in rows():
        people = row["speakers"] if isinstance(row.get("speakers"), list) else []
        if len(people) == 1 and row["duration_s"] >= 2 and row.get("channels", 1) == 1:
            reader = str(people[0])
            by_reader.setdefault(reader, []).append(get_settings().speech_dir / row["path"])
    found = []
    for reader, paths in sorted(by_reader.items()):
        sound = np.concatenate([read(path) for path in paths[:6]])
        at = (8 if len(sound) >= 16 * SAMPLE_RATE else 6) * SAMPLE_RATE
        if reader not in MEETINGS and len(sound) >= 10 * SAMPLE_RATE:
            found.append((reader, sound[:at], sound[at:][: 20 * SAMPLE_RATE]))
    return found


def similarity(folder: Path, judge: Path) -> dict[str, Any]:
    """Cosines by Resemblyzer between a reader's other sound and the voices that each way of choosing gives."""
    judged, one = Judge(judge), speaker()
    matcher, table = Matcher(one), packs(TABLE)
    rng = np.random.default_rng(15)
    kept = folder / "stock.json"  # so that a run that was ended goes on
    stock = {name: np.array(vector) for name, vector in (json.loads(kept.read_text()) if kept.exists() else {}).items()}

    def print_of(voice: VoiceMix) -> np.ndarray:
        sound = one.speak(TEXT, "en", voice, 1.0, silent).samples
        return judged(resample_poly(sound, 2, 3))

    for pack in table:
        name = pack.voice.parts[0][0]
        if name not in stock:
            stock[name] = print_of(pack.voice)
            kept.write_text(json.dumps({one: vector.tolist() for one, vector in stock.items()}))
    scores: dict[str, list[float]] = {}
    seconds, refused = [], list[str]()
    for reader, reference, other in reader_sounds():
        wanted = judged(other)
        began = time.process_time()
        try:
            match = matcher.match(pcm(folder / "reference.pcm", reference), silent)
        except BadInput as problem:
            print(reader, problem, flush=True)
            refused.append(reader)
            continue
        seconds.append(time.process_time() - began)
        vector = matcher.encoders.campplus(reference)
        by_campplus = max(table, key=lambda pack: float(pack.print.campplus @ vector))
        found = {
            "matched": float(print_of(match.voice) @ wanted),
            "nearest by CAM++": float(stock[by_campplus.voice.parts[0][0]] @ wanted),
            "random": float(np.mean([vector @ wanted for vector in stock.values()])),
            "best stock (by the judge itself)": max(float(vector @ wanted) for vector in stock.values()),
            "the same person": float(judged(reference) @ wanted),
        }
        print(reader, match, {name: round(value, 3) for name, value in found.items()}, flush=True)
        for name, value in found.items():
            scores.setdefault(name, []).append(value)
    made = {name: mean(np.array(values), rng) for name, values in scores.items()}
    cost = {"match_cpu_s": float(np.median(seconds)), "match_cpu_s_most": max(seconds)}
    return {"readers": len(seconds), "refused": refused, **made, **cost}


def mean(values: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    draws = values[rng.integers(0, len(values), (DRAWS, len(values)))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def per_second(text: str, sound: np.ndarray) -> float:
    """Phonemes of a text in a second of the voice that speaks it."""
    count = sum(char not in UNCOUNTED for char in phonemes(text, "en"))
    return count / (len(voiced(sound)) / SAMPLE_RATE)


def rate(folder: Path, most: int = 10) -> dict[str, Any]:
    """Phonemes a second of readers and of their nearest stock voice, at speed 1 and moved by a reference of theirs.

    Texts that are spoken are others than those of the reference. Mixtures are left out: they speak as their packs do.
    """
    by_reader: dict[str, list[dict[str, Any]]] = {}
    for row in rows():
        if row["path"].startswith(READERS) and row["duration_s"] >= 3 and row.get("text") and row["language"] == "en":
            by_reader.setdefault(str((row.get("speakers") or [row["path"].split("/")[0]])[0]), []).append(row)
    one = speaker()
    matcher, found, usual = Matcher(one), [], []
    listener, pool = catalog.get("base"), local_runtime().pool
    for reader, own in sorted(by_reader.items()):
        sounds = [(read(get_settings().speech_dir / row["path"]), row["text"]) for row in own[:6]]
        reference = sounds[0][0][: 10 * SAMPLE_RATE]
        if len(sounds) < 2 or len(found) >= most:
            continue
        said = pcm(folder / "reference.pcm", reference)
        wanted = matcher.encoders.print_of(voiced(reference))
        voice = max(packs(TABLE), key=lambda pack: sum(pack.print.similarities(wanted))).voice
        began = time.process_time()
        heard = pool.transcribe(listener, said, None, silent)
        words = " ".join(segment.text.strip() for segment in heard.segments)
        copy = VoiceCopy(reference, SAMPLE_RATE, words, heard.language)
        ratio = rate_ratio(copy, len(voiced(reference)) / SAMPLE_RATE)
        seconds = time.process_time() - began
        text = min((text for _, text in sounds[1:]), key=lambda text: abs(len(text) - 80))
        theirs = per_second(" ".join(text for _, text in sounds[1:]), np.concatenate([s for s, _ in sounds[1:]]))
        rates = [
            per_second(text, resample_poly(one.speak(text, "en", voice, speed, silent).samples, 2, 3).astype("f4"))
            for speed in (1.0, ratio)
        ]
        usual.append(rates[0])
        found.append([abs(float(np.log(made / theirs))) for made in rates])
        print(reader, voice.parts, [round(x, 3) for x in (theirs, *rates, ratio, seconds)], flush=True)
    rng, table = np.random.default_rng(15), np.array(found)
    names = ("away at speed 1", "away when moved", "gain")
    columns = (table[:, 0], table[:, 1], table[:, 0] - table[:, 1])
    away = {name: mean(column, rng) for name, column in zip(names, columns, strict=True)}
    return {"readers": len(found), "usual": float(np.mean(usual)), "nearer": int((columns[2] > 0).sum()), **away}


class Judge:
    """Resemblyzer's encoder (GE2E): 3 LSTMs of 256 over 40 mel bands, a linear layer and a rectifier."""

    def __init__(self, path: Path) -> None:
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        self.lstm = torch.nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = torch.nn.Linear(256, 256)
        self.lstm.load_state_dict({name[5:]: value for name, value in state.items() if name.startswith("lstm.")})
        self.linear.load_state_dict({name[7:]: value for name, value in state.items() if name.startswith("linear.")})

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        import librosa
        import torch

        level = 10 ** (-30 / 20) / max(1e-9, float(np.sqrt(np.square(sound).mean())))
        sound = (sound * max(1.0, level)).astype(np.float32)  # its authors raise quiet sound to -30 dBFS
        mel = librosa.feature.melspectrogram(y=sound, sr=SAMPLE_RATE, n_fft=400, hop_length=160, n_mels=40).T
        starts = range(0, max(1, len(mel) - 160 + 1), 77)  # 1.3 windows a second
        windows = np.stack([np.pad(mel[at : at + 160], ((0, max(0, 160 - len(mel[at:]))), (0, 0))) for at in starts])
        with torch.inference_mode():
            hidden = self.lstm(torch.from_numpy(windows.astype(np.float32)))[1][0][-1]
            vectors = torch.nn.functional.normalize(torch.relu(self.linear(hidden)), dim=1).mean(0)
            made: np.ndarray = torch.nn.functional.normalize(vectors, dim=0).numpy()
        return made


def references(folder: Path) -> dict[str, Any]:
    """How many references of each kind are accepted, and the sentences of the others."""
    matcher = Matcher(speaker())
    readers = reader_sounds()
    kinds: dict[str, list[np.ndarray]] = {"one voice": [reference for _, reference, _ in readers]}
    half = 4 * SAMPLE_RATE
    pairs = zip(readers, readers[1:] + readers[:1], strict=True)
    kinds["two voices"] = [np.concatenate([a[1][:half], b[1][:half]]) for a, b in pairs]
    names = [row["path"] for row in rows() if row["path"].startswith("music_noise/") and row["duration_s"] >= 8]
    kinds["music and noise"] = [read(get_settings().speech_dir / name)[: 2 * half] for name in names]
    table: dict[str, Any] = {}
    for kind, sounds in kinds.items():
        said = [answer(lambda sound=sound: matcher.check(pcm(folder / "r.pcm", sound))) for sound in sounds]
        table[kind] = {sentence: said.count(sentence) for sentence in sorted(set(said))}
    return table


def answer(check: Callable[[], object]) -> str:
    try:
        check()
    except BadInput as problem:
        return str(problem)
    return "accepted"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["packs", "trip", "similarity", "rate", "references"])
    parser.add_argument("--folder", type=Path, required=True, help="folder for sounds that are made on the way")
    parser.add_argument("--judge", type=Path, help="pretrained.pt of Resemblyzer 0.1.4")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    work = {
        "packs": lambda: make_packs(args.folder),
        "trip": lambda: trip(args.folder),
        "similarity": lambda: similarity(args.folder, args.judge),
        "rate": lambda: rate(args.folder),
        "references": lambda: references(args.folder),
    }
    made = work[args.what]()
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(known | {args.what: made}, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(made, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
