"""The plain library as a process: JSON requests on stdin, answers with wall and CPU seconds on stdout.

python eval/bare.py MODEL_FOLDER THREADS
"""

from __future__ import annotations

import json
import resource
import sys
import time


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    from faster_whisper import WhisperModel

    model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=int(sys.argv[2]))
    for line in sys.stdin:
        request = json.loads(line)
        wall, cpu = time.perf_counter(), cpu_seconds()
        segments, info = model.transcribe(request["path"], **request["options"])
        text = " ".join(segment.text.strip() for segment in segments)
        answer = {"text": text, "language": info.language}
        print(json.dumps(answer | {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}), flush=True)


if __name__ == "__main__":
    main()
