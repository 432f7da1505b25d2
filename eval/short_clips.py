"""Short recordings against bare faster-whisper with its defaults: time and word errors.

    python eval/short_clips.py MODEL

Takes the recordings under LONGEST_S of STT_LAB_SPEECH_DIR that have a text and words between spaces, language=auto,
both warm and in turns. Prints how many times faster ours is (median over the clips, and of the sums) by the clock and
by processor time, both error rates, and their difference with a 95 % interval over the clips.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from stt_lab.metrics import wer
from stt_lab.metrics.intervals import compare
from stt_lab.pipeline import choose_models, listen
from stt_lab.runtime import private_runtime
from stt_lab.settings import get_settings
from stt_lab.types import silent
from stt_lab.weights import catalog

LONGEST_S = 10.0
UNSPACED = ("ja", "zh", "th", "ko")  # languages whose words have no spaces, or few
BARE = Path(__file__).with_name("bare.py")


def processor_s() -> float:
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    name = parser.parse_args().model
    settings = get_settings().model_copy(update={"engine_host": "inprocess"})
    runtime = private_runtime(settings)
    rows = [json.loads(line) for line in (settings.speech_dir / "manifest.jsonl").read_text("utf-8").splitlines()]
    folder = catalog.locate(catalog.get(name), settings)
    if folder is None:
        sys.exit(f"{name} is not installed: stt-lab models pull {name}")
    alone = name.endswith(".en")
    chosen = [
        row
        for row in rows
        if row.get("text") and row["duration_s"] < LONGEST_S and row.get("language") not in (None, *UNSPACED)
        if row["language"] == "en" or not alone
    ]
    command = [sys.executable, str(BARE), str(folder), str(settings.threads)]
    times: list[tuple[float, float, float, float]] = []  # by the clock ours and bare, by processor time ours and bare
    ours, bare = [], []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number, row in enumerate([chosen[0], *chosen]):  # the first warms both
            path = settings.speech_dir / row["path"]
            print(json.dumps({"path": str(path), "options": {}}), file=process.stdin, flush=True)
            other = json.loads(process.stdout.readline())
            began, used = time.perf_counter(), processor_s()
            with runtime.decoder.decode(path) as audio:
                models = choose_models(runtime.pool, name, "auto", diarize=False)
                text = listen(runtime.pool, audio, models, 0, silent).text
            took = time.perf_counter() - began, processor_s() - used
            if number:
                times.append((took[0], other["wall"], took[1], other["cpu"]))
                style = "whisper_en" if row["language"] == "en" else "whisper"
                ours.append(wer([row["text"]], [text], style))
                bare.append(wer([row["text"]], [other["text"]], style))
        process.stdin.close()
    for label, mine, theirs in (("clock", 0, 1), ("processor", 2, 3)):
        faster = statistics.median(row[theirs] / row[mine] for row in times)
        total = sum(row[theirs] for row in times) / sum(row[mine] for row in times)
        print(f"{label}: {faster:.2f} times faster (median of {len(times)} clips), {total:.2f} of the sums")
    found = compare(ours, bare, seed=0)
    words = sum(one.words for one in ours)
    rates = [100 * sum(one.errors for one in side) / words for side in (ours, bare)]
    print(
        f"WER ours {rates[0]:.2f} %, bare {rates[1]:.2f} % of {words} words: {100 * found.difference:+.2f} points "
        f"({100 * found.low:+.2f} to {100 * found.high:+.2f})"
    )


if __name__ == "__main__":
    main()
