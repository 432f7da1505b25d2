"""Diarization on real recordings: error rate beside the floor of the same segmentation, number of speakers, speed.

    python eval/diarization.py             errors (results/diarization.json)
    python eval/diarization.py --speed     seconds beside pyannote's plain pipeline (results/diarization-speed.json)

Sets: AMI (ami_pyannote without trn01 and trn02, which are nearly silent) and conv_dev (assembled conversations).
Settings were chosen on the first, third, fifth ... clip of each set in order of name ("chosen"); the others are "held
out". `floor` is what the segmentation allows: the same windows, their local speakers named by the reference. DER is
pooled, overlaps are scored; `collar` leaves out 0.25 s on each side of a reference boundary (NIST's convention; 0.5 in
pyannote.metrics). `told n`: with the true number of speakers given.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.engines.protocols import EngineSpec
from stt_lab.engines.pyannote import PyannoteDiarizer
from stt_lab.metrics import DiarizationErrors, der
from stt_lab.settings import get_settings
from stt_lab.types import SAMPLE_RATE, Audio, Turn, silent

RESULTS = Path(__file__).parent / "results"
SETS = {"AMI": "ami_pyannote/*.flac", "conv_dev": "assembled/conv_dev_*.flac"}
FURTHER = {"further": ("picovoice/falcon_test.flac", "assembled/long_*.mp3", "assembled/long_*.opus")}
NEARLY_SILENT = ("trn01", "trn02")
SPEED_FILE = "assembled/long_dev_5readers.mp3"


@dataclass(frozen=True)
class Row:
    """One recording, measured."""

    part: str  # "AMI", "conv_dev" or "further"
    half: str  # "chosen", "held out" or "further"
    name: str
    errors: dict[str, DiarizationErrors]  # by measure: auto, collar, given, floor
    speakers: tuple[int, int, int]  # in the reference, found, found when told how many


def recordings(speech: Path) -> Iterator[tuple[str, str, Path]]:
    """Part, half and path of every recording; the halves alternate in order of name."""
    for part, pattern in SETS.items():
        paths = sorted(path for path in speech.glob(pattern) if not path.name.startswith(NEARLY_SILENT))
        for number, path in enumerate(paths):
            yield part, "held out" if number % 2 else "chosen", path
    for part, patterns in FURTHER.items():
        for path in sorted(path for pattern in patterns for path in speech.glob(pattern)):
            yield part, part, path


def reference(path: Path) -> tuple[Turn, ...]:
    """The turns of an RTTM file."""
    fields = [line.split() for line in path.read_text().splitlines() if line.startswith("SPEAKER")]
    return tuple(Turn(float(f[3]), float(f[3]) + float(f[4]), f[7]) for f in fields)


def names(turns: Iterable[Turn]) -> int:
    return len({turn.speaker for turn in turns})


def engine(threads: int) -> PyannoteDiarizer:
    models = get_settings().models_dir
    place = EngineSpec(
        models / "segmentation-3.0", "segmentation-3.0", threads=threads, extra=(("campplus", models / "campplus"),)
    )
    made = PyannoteDiarizer(place)
    made.load()
    return made


def remember(diarizer: PyannoteDiarizer) -> None:
    """Let the networks run once a recording: the clusterings that follow get the same windows and embeddings."""
    pipeline: Any = diarizer._pipeline
    for name in ("get_segmentations", "get_embeddings"):
        setattr(pipeline, name, once_a_recording(getattr(pipeline, name)))


def once_a_recording(run: Any) -> Any:
    kept: dict[Path, Any] = {}

    def remembered(file: dict[str, Any], *args: Any, **how: Any) -> Any:
        path = file["sound"].path
        if path not in kept:
            kept.clear()
            kept[path] = run(file, *args, **how)
        return kept[path]

    return remembered


def floor(diarizer: PyannoteDiarizer, audio: Audio, truth: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Turns of the same segmentation with every local speaker named by the reference (pyannote's OracleClustering)."""
    from pyannote.audio.pipelines.clustering import OracleClustering
    from pyannote.core import Annotation, Segment

    from stt_lab.engines.diarization import WindowedDiarization

    annotation = Annotation()
    for number, turn in enumerate(truth):
        annotation[Segment(turn.start, turn.end), number] = turn.speaker
    pipeline: Any = diarizer._pipeline
    file = {"uri": "sound", "sound": audio, "annotation": annotation, "duration": audio.duration}
    windows = pipeline.get_segmentations(file)
    frames = pipeline._segmentation.model.receptive_field
    clusters, _, _ = OracleClustering()(segmentations=windows, file=file, frames=frames)
    count = pipeline.speaker_count(windows, frames, warm_up=(0.0, 0.0))
    clusters[windows.data.sum(axis=1) == 0] = -2
    found = pipeline.to_annotation(WindowedDiarization.reconstruct(pipeline, windows, clusters, count))
    stretches = [(s.start, min(s.end, audio.duration), str(name)) for s, _, name in found.itertracks(yield_label=True)]
    return tuple(Turn(*stretch) for stretch in stretches if stretch[0] < stretch[1])


def measure(diarizer: PyannoteDiarizer, part: str, half: str, path: Path, audio: Audio) -> Row:
    truth = reference(path.with_suffix(".rttm"))
    found = diarizer.diarize(audio, 0, silent).turns
    told = diarizer.diarize(audio, names(truth), silent).turns
    errors = {
        "auto": der(truth, found, audio.duration),
        "collar": der(truth, found, audio.duration, collar=0.25),
        "given": der(truth, told, audio.duration),
        "floor": der(truth, floor(diarizer, audio, truth), audio.duration),
    }
    return Row(part, half, path.stem, errors, (names(truth), names(found), names(told)))


def pooled(rows: list[Row]) -> dict[str, Any]:
    """Error rates in per cent over all seconds of the rows, and how often the number of speakers is right."""
    rates = {}
    for name in rows[0].errors:
        total = sum((row.errors[name] for row in rows[1:]), rows[0].errors[name])
        rates[name] = round(100 * total.rate, 2)
    counted = {"right": sum(row.speakers[0] == row.speakers[1] for row in rows)}
    counted["right_given"] = sum(row.speakers[0] == row.speakers[2] for row in rows)
    return {**rates, **counted, "clips": len(rows)}


def table(rows: list[Row]) -> list[dict[str, Any]]:
    lines = []
    for part in (*SETS, *FURTHER):
        for half in ("chosen", "held out", "all"):
            some = [row for row in rows if row.part == part and half in (row.half, "all")]
            if some:
                lines.append({"set": part, "half": half, **pooled(some)})
    return lines


def show(lines: list[dict[str, Any]]) -> None:
    print(f"{'set':10}{'half':10}{'DER':>8}{'collar':>8}{'floor':>8}{'told n':>8}  speakers right, told n")
    for line in lines:
        rates = "".join(f"{line[name]:8.2f}" for name in ("auto", "collar", "floor", "given"))
        right = f"{line['right']}/{line['clips']}, {line['right_given']}/{line['clips']}"
        print(f"{line['set']:10}{line['half']:10}{rates}  {right}")


def cost(work: Any, seconds: float) -> dict[str, float]:
    """Wall and CPU time of `work()` as multiples of real time."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_x_real_time": round(wall / seconds, 4), "cpu_x_real_time": round(cpu / seconds, 4)}


def plain_pipeline(threads: int) -> Any:
    """pyannote's own pipeline on the same weights: step 0.1, batches of 32, its embedding path and linkage."""
    import torch
    from pyannote.audio import Model
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization

    from stt_lab.engines.campplus import load_campplus

    torch.set_num_threads(threads)
    models = get_settings().models_dir
    pipeline = SpeakerDiarization(
        segmentation=Model.from_pretrained(str(models / "segmentation-3.0" / "pytorch_model.bin")),
        embedding=load_campplus(models / "campplus"),
        embedding_exclude_overlap=True,
        clustering="AgglomerativeClustering",
        plda=PLDA.__new__(PLDA),
        segmentation_batch_size=32,
        embedding_batch_size=32,
    )
    linkage = {"method": "centroid", "threshold": 0.7, "min_cluster_size": 3}
    return pipeline.instantiate({"segmentation": {"min_duration_off": 0.0}, "clustering": linkage})


def speed(diarizer: PyannoteDiarizer, audio: Audio, threads: int, seconds: int) -> dict[str, Any]:
    """Ours beside pyannote's plain pipeline, on the same seconds of speech, after a warm-up of ten seconds."""
    import torch

    part = Audio(audio.path, min(audio.samples, seconds * SAMPLE_RATE))
    diarizer.diarize(Audio(audio.path, 10 * SAMPLE_RATE), 0, silent)
    ours = [cost(lambda: diarizer.diarize(part, 0, silent), part.duration) for _ in range(2)]
    print("ours", ours, flush=True)
    plain = plain_pipeline(threads)
    waveform = torch.from_numpy(np.ascontiguousarray(part.read()))[None]
    theirs = cost(lambda: plain({"waveform": waveform, "sample_rate": SAMPLE_RATE}), part.duration)
    return {"seconds": part.duration, "threads": threads, "ours": ours, "pyannote_step_0.1": theirs}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--speech", type=Path, default=get_settings().speech_dir)
    options.add_argument("--json", type=Path, help="file of the results (default: in eval/results)")
    options.add_argument("--speed", action="store_true", help="measure speed only")
    options.add_argument("--seconds", type=int, default=300, help="of speech, for --speed")
    options.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    chosen = options.parse_args()
    diarizer = engine(chosen.threads)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        decoder = Decoder(Path(folder), DecodeLimits(max_samples=SAMPLE_RATE * 3600, timeout_s=120))
        if chosen.speed:
            with decoder.decode(chosen.speech / SPEED_FILE) as audio:
                result["speed"] = speed(diarizer, audio, chosen.threads, chosen.seconds)
            print(json.dumps(result["speed"], indent=1))
        else:
            rows = []
            remember(diarizer)
            for part, half, path in recordings(chosen.speech):
                with decoder.decode(path) as audio:
                    rows.append(measure(diarizer, part, half, path, audio))
                rates = {name: round(100 * count.rate, 2) for name, count in rows[-1].errors.items()}
                print(f"{half:10}{path.stem:24}{rates} speakers (true, found, told): {rows[-1].speakers}", flush=True)
            result["table"] = table(rows)
            show(result["table"])
        decoder.close()
    target = chosen.json or RESULTS / ("diarization-speed.json" if chosen.speed else "diarization.json")
    target.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
