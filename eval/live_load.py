"""How many streams does this machine carry, and how late are they?

    python eval/live_load.py URL KEY MODEL STREAMS [--seconds 60] [--beside FILE] RECORDING

Opens so many streams over the WebSocket at once, each with the sound of RECORDING from another place, at the speed of
speech. Prints for all of them: seconds from the end of the last word before a pause to its final (median and 95th
percentile; for short pauses, in which a sentence may go on, and for long ones), how many were refused (1013), and the
greatest lag that the server reported. With --beside, FILE is transcribed all the time, by the same model, and it says
how many times that ended and how long each took.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from stt_lab.audio import DecodeLimits, Decoder
from stt_lab.client import Client
from stt_lab.types import SAMPLE_RATE, silent

PIECE = 3200  # bytes: 0.1 s
PAUSES_S = 0.4, 1.0  # without words after a final; in shorter ones somebody went on speaking
APART_S = 17.0  # between the places where two streams begin


@dataclass
class Seen:
    late: list[tuple[float, float]] = field(
        default_factory=list
    )  # seconds without words after a final, and its lateness
    lag: float = 0.0
    refused: int = 0
    words: int = 0


def stream(address: str, key: str, model: str, sound: bytes, seen: Seen) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with connect(f"{address}?model={model}&language=en", additional_headers=headers) as connection:
        began = [0.0]
        before: list[tuple[float, float]] = []  # end and lateness of the final before

        def send() -> None:
            began[0] = time.monotonic()
            for number, at in enumerate(range(0, len(sound), PIECE)):
                time.sleep(max(0.0, began[0] + (number + 1) * 0.1 - time.monotonic()))
                connection.send(sound[at : at + PIECE])
            connection.send(b"")

        sender = threading.Thread(target=send, daemon=True)
        try:
            while True:
                made = json.loads(connection.recv(60))
                if made.get("status") == "ready":
                    sender.start()
                if "error" in made:
                    seen.refused += 1
                    return
                seen.lag = max(seen.lag, made.get("lag", 0.0))
                seen.words += len(made.get("words", ()))
                if before and (made.get("words") or made.get("final")):
                    end, late = before.pop()
                    seen.late.append((math.inf if made.get("final") else made["start"] - end, late))
                if made.get("words"):
                    before.append((made["end"], time.monotonic() - began[0] - made["end"]))
                if made.get("final"):
                    return
        except ConnectionClosed:
            return


def beside(asked: argparse.Namespace, stop: threading.Event, took: list[float]) -> None:
    """Transcribe a file again and again."""
    with Client(asked.url, api_key=asked.key) as client:
        while not stop.is_set():
            began = time.monotonic()
            client.transcribe(asked.beside, model=asked.model, language="en", diarize=False)
            took.append(time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("model")
    parser.add_argument("streams", type=int)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("recording", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        decoder = Decoder(Path(folder), DecodeLimits(10_000 * SAMPLE_RATE, 600))
        with decoder.decode(asked.recording, silent) as audio:
            sound = audio.path.read_bytes()
    address = f"ws://{urlsplit(asked.url).netloc}/v1/stream"
    size, seen = int(asked.seconds * 2 * SAMPLE_RATE), Seen()
    threads, stop, took = [], threading.Event(), list[float]()
    other = threading.Thread(target=beside, args=(asked, stop, took), daemon=True)
    if asked.beside:
        other.start()
        time.sleep(2)
    for number in range(asked.streams):
        at = int(number * APART_S * 2 * SAMPLE_RATE)
        own = (sound + sound)[at % len(sound) :][:size]
        threads.append(threading.Thread(target=stream, args=(address, asked.key, asked.model, own, seen)))
        threads[-1].start()
        time.sleep(0.3)
    for thread in threads:
        thread.join()
    stop.set()
    if asked.beside:
        other.join(600)
        print(f"{asked.beside.name} ended {len(took)} times, after {', '.join(f'{one:.1f}' for one in took)} s")
    print(
        f"{asked.streams} streams of {asked.model}: {seen.words} words, {len(seen.late)} finals; "
        f"refused {seen.refused}; greatest lag {seen.lag:.2f} s"
    )
    for pause in PAUSES_S:
        late = [seconds for after, seconds in seen.late if after >= pause]
        middle, most = np.percentile(late, [50, 95]) if late else (math.nan, math.nan)
        print(f"  before {pause} s without words: end to final {middle:.2f} s, p95 {most:.2f} s ({len(late)})")


if __name__ == "__main__":
    main()
