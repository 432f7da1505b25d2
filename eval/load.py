"""Many clients at once: throughput of eight beside that of one in the same run, errors, and memory over 200 jobs.

python eval/load.py throughput     one client and eight, interleaved, same clips
python eval/load.py memory         memory of all processes after each of 200 jobs
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from service import RESULTS, Service, recordings

from stt_lab.settings import Settings, get_settings

CLIENTS = 8
ROUNDS = 3  # of one client, then eight, over all clips
CLIPS = 16
JOBS = 200
SETTLED_JOB = 20  # memory is compared with that after this job


def clips(settings: Settings) -> list[Path]:
    chosen = [r for r in recordings(settings) if r["path"].startswith("librispeech_test_other")]
    return [settings.speech_dir / r["path"] for r in chosen[:CLIPS]]


def send(service: Service, path: Path, model: str, codes: Counter[int]) -> None:
    """One recording, sent again when the answer says so; every status is counted."""
    while True:
        answer = service.post(path, model=model, diarize="false")
        codes[answer.status_code] += 1
        if answer.status_code not in (429, 503):
            return
        time.sleep(int(answer.headers["retry-after"]))


def throughput(settings: Settings, model: str) -> dict[str, Any]:
    paths = clips(settings)
    codes: Counter[int] = Counter()
    seconds: dict[int, list[float]] = {1: [], CLIENTS: []}
    with Service({}) as service:
        send(service, paths[0], model, codes)  # loads the model
        for _ in range(ROUNDS):
            for clients, taken in seconds.items():
                began = time.perf_counter()
                with ThreadPoolExecutor(clients) as pool:
                    list(pool.map(lambda path: send(service, path, model, codes), paths))
                taken.append(time.perf_counter() - began)
    ratios = [one / many for one, many in zip(seconds[1], seconds[CLIENTS], strict=True)]
    return {"clips": len(paths), "seconds": seconds, "ratio": statistics.median(ratios), "status": codes}


def memory(settings: Settings, model: str) -> dict[str, Any]:
    paths = clips(settings)
    codes: Counter[int] = Counter()
    used = []  # bytes
    with Service({}) as service:
        for job in range(JOBS):
            send(service, paths[job % len(paths)], model, codes)
            used.append(service.memory())
    growth = used[-1] / used[SETTLED_JOB - 1] - 1
    return {"jobs": JOBS, "status": codes, "mb": [round(b / 1e6) for b in used], "growth": growth}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["throughput", "memory"])
    parser.add_argument("--model", default="base")
    options = parser.parse_args()
    result = {"throughput": throughput, "memory": memory}[options.what](get_settings(), options.model)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"load-{options.what}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result | ({"mb": result["mb"][::20]} if "mb" in result else {}), indent=1))


if __name__ == "__main__":
    main()
