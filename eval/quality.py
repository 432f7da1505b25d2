"""Errors on the development set, beside the plain library in the same run.

    python eval/quality.py words      WER of LibriSpeech test-other and FLEURS, against bare faster-whisper
    python eval/quality.py silence    words where nobody speaks
    python eval/quality.py speakers   cpWER and WDER of conversations, against labelling whole segments

Recordings come from STT_LAB_SPEECH_DIR; results go to eval/results. Rates are sums over sums, intervals are drawn by
recording, and each names its normaliser.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stt_lab import metrics
from stt_lab.runtime import Runtime, private_runtime
from stt_lab.settings import Settings, get_settings
from stt_lab.transcription.join import join, join_whole
from stt_lab.types import Audio, Segment, silent

RESULTS = Path(__file__).parent / "results"
SETS = {"LibriSpeech test-other": "librispeech_test_other/", "FLEURS en de es fr pt": "fleurs_cuttledoc/"}
MISLABELLED = "music_noise__readalongs_noise_at_1500"  # called noise by its file name; a voice says a whole sentence
BARE = {"beam_size": 5, "vad_filter": True}


def recordings(settings: Settings) -> list[dict[str, Any]]:
    manifest = settings.speech_dir / "manifest.jsonl"
    return [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]


def normaliser(language: str) -> str:
    return "whisper_en" if language == "en" else "whisper"


@contextmanager
def decoded(runtime: Runtime, row: dict[str, Any]) -> Iterator[Audio]:
    with runtime.decoder.decode(runtime.settings.speech_dir / row["path"]) as audio:
        yield audio


def words(runtime: Runtime, model_id: str) -> dict[str, Any]:
    """WER of our engine and of bare faster-whisper (int8, beam 5, VAD), told the same language."""
    from faster_whisper import WhisperModel

    settings = runtime.settings
    folder = str(settings.models_dir / model_id)
    bare = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=settings.threads)
    model, _ = runtime.pool.resolve("transcribe", model_id)
    counts: dict[str, dict[str, list[metrics.WordErrors]]] = {}
    differing = 0
    for name, prefix in SETS.items():
        for row in (r for r in recordings(settings) if r["path"].startswith(prefix) and r.get("text")):
            language = row["language"]
            with decoded(runtime, row) as audio:
                ours = " ".join(s.text for s in runtime.pool.transcribe(model, audio, language, silent).segments)
                found, _ = bare.transcribe(audio.read(), language=language, **BARE)
                theirs = " ".join(segment.text.strip() for segment in found)
            differing += ours != theirs
            for who, text in (("stt_lab", ours), ("bare", theirs)):
                scored = metrics.wer([row["text"]], [text], normaliser(language))
                for group in (name, f"{name}: {language}", "pooled"):
                    counts.setdefault(group, {}).setdefault(who, []).append(scored)
    table = {group: {who: _rate(values) for who, values in sides.items()} for group, sides in counts.items()}
    made = {"model": model_id, "normaliser": "Whisper English / multilingual"}
    return made | {"differing_texts": differing, "table": table}


def _rate(values: list[metrics.WordErrors]) -> dict[str, Any]:
    total = sum(values, metrics.WordErrors())
    low, high = metrics.bootstrap(values, seed=0)
    interval = {"low": low, "high": high}
    return {"wer": total.rate, "errors": total.errors, "words": total.words, "files": len(values)} | interval


def silence(runtime: Runtime, model_id: str) -> dict[str, Any]:
    """Words invented on recordings without speech, language=auto, and what the checks suppressed."""
    model, _ = runtime.pool.resolve("transcribe", model_id)
    rows = [r for r in recordings(runtime.settings) if r.get("kind") == "non-speech"]
    made = {}
    for row in rows:
        with decoded(runtime, row) as audio:
            found = runtime.pool.transcribe(model, audio, None, silent)
        texts = [segment.text for segment in found.segments]
        made[row["id"]] = {"seconds": audio.duration, "texts": texts, "suppressed": [s.text for s in found.suppressed]}
    invented = sum(len(" ".join(row["texts"]).split()) for name, row in made.items() if name != MISLABELLED)
    return {"model": model_id, "words": invented, "files": len(made) - 1, "left_out": MISLABELLED, "rows": made}


def speakers(runtime: Runtime, model_id: str) -> dict[str, Any]:
    """cpWER and WDER of the join at word level, and of whole segments, from the same words and turns."""
    settings = runtime.settings
    model, _ = runtime.pool.resolve("transcribe", model_id)
    diarizer = runtime.pool.best("diarize")
    counts: dict[str, dict[str, Any]] = {}
    rows = {}
    for row in (r for r in recordings(settings) if r.get("segments") and _is_conversation(r)):
        reference = [Segment(s["start"], s["end"], s["text"], (), s["speaker"]) for s in _read(settings, row)]
        with decoded(runtime, row) as audio:
            found = runtime.pool.transcribe(model, audio, "en", silent)
            turns = runtime.pool.diarize(diarizer, audio, 0, silent)
        group = row["path"].split("/")[0]
        for who, labelled in (("word", join), ("segment", join_whole)):
            segments, names = labelled(found, turns, audio.duration)
            scores = {
                "cpwer": metrics.cpwer(reference, segments, "whisper_en"),
                "wder": metrics.wder(reference, segments, "whisper_en"),
            }
            rows[f"{row['id']} {who}"] = {k: v.rate for k, v in scores.items()} | {"speakers": len(names)}
            for key in (group, "all"):
                for what, score in scores.items():
                    old = counts.setdefault(key, {}).get(f"{who} {what}")
                    counts[key][f"{who} {what}"] = score if old is None else old + score
    table = {key: {what: score.rate for what, score in group.items()} for key, group in counts.items()}
    return {"model": model_id, "diarizer": diarizer.id, "normaliser": "whisper_en", "table": table, "rows": rows}


def _is_conversation(row: dict[str, Any]) -> bool:
    return row["id"].startswith(("assembled__conv_dev", "ami_pyannote"))


def _read(settings: Settings, row: dict[str, Any]) -> list[dict[str, Any]]:
    return json.loads((settings.speech_dir / row["segments"]).read_text("utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["words", "silence", "speakers"])
    parser.add_argument("--model", default="base")
    options = parser.parse_args()
    run = {"words": words, "silence": silence, "speakers": speakers}[options.what]
    result = run(private_runtime(get_settings()), options.model)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.what}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "rows"}, indent=1))


if __name__ == "__main__":
    main()
