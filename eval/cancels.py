"""Does Cancel on the page cancel? Ten times, at random moments of a recording of minutes.

    python eval/cancels.py [--count 10] [--model base] [--seed 1]

A server of its own with real weights; a signed-in visitor transcribes by the page's functions and cancels. Prints how
long the page took to say so, how long until the worker no longer computed, and what was stored and charged: nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
from service import Service, recordings

from stt_lab.settings import get_settings

API = "/gradio_api"
END_S = 5.0  # what is promised
IDLE_SHARE, LOOK_S = 0.2, 0.25  # of a core; seconds between looks
LONGEST_S = 60.0  # until the worker is idle, else the trial fails
MINUTES = (3, 12)  # of the recording


class Page:
    """A signed-in visitor."""

    def __init__(self, service: Service) -> None:
        self.client = httpx.Client(
            base_url=service.url, timeout=120, headers={"Authorization": f"Bearer {service.key}"}
        )
        config = self.client.get("/config").json()
        self._functions = {fn["api_name"]: fn["id"] for fn in config["dependencies"]}
        self.said = ""

    def join(self, name: str, data: list[object], session: str) -> None:
        body = {"data": data, "fn_index": self._functions[name], "session_hash": session}
        self.client.post(f"{API}/queue/join", json=body).raise_for_status()

    def begin(self, recording: Path, model: str, session: str) -> threading.Thread:
        with recording.open("rb") as file:
            (address,) = self.client.post(f"{API}/upload", files={"files": (recording.name, file)}).json()
        given = {"path": address, "meta": {"_type": "gradio.FileData"}, "orig_name": recording.name}
        self.join("run", [given, None, model, "auto", True, 0], session)
        self.said = ""
        reader = threading.Thread(target=self._read, args=[session])
        reader.start()
        while "stt-stages" not in self.said:  # from here on the page can cancel
            time.sleep(0.01)
        return reader

    def _read(self, session: str) -> None:
        with self.client.stream("GET", f"{API}/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                self.said += line
                if "close_stream" in line:
                    return

    def left(self) -> dict[str, float]:
        """Return what is stored, active and charged."""
        states = ("done", "queued", "running")
        counts = {
            one: self.client.get("/api/v1/transcripts/", params={"status": one}).json()["count"] for one in states
        }
        return counts | {"minutes": self.client.get("/api/v1/usage/").json()["minutes"]}


def idle_after(service: Service, began: float) -> float:
    """Return the seconds from `began` until no child process computes."""
    while time.monotonic() - began < LONGEST_S:
        before = busy(service)
        time.sleep(LOOK_S)
        if sum(max(0.0, now - before.get(pid, now)) for pid, now in busy(service).items()) < IDLE_SHARE * LOOK_S:
            return time.monotonic() - began - LOOK_S
    return LONGEST_S


def busy(service: Service) -> dict[int, float]:
    """Return the processor time of each child process."""
    spent = {}
    for child in service.process.children(recursive=True):
        try:
            times = child.cpu_times()
            spent[child.pid] = times.user + times.system
        except psutil.NoSuchProcess:
            pass
    return spent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--model", default="base")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    settings, chance = get_settings(), random.Random(asked.seed)
    low, high = (60 * minutes for minutes in MINUTES)
    long = next(one for one in recordings(settings) if low <= one["duration_s"] <= high)
    recording, faults = settings.speech_dir / long["path"], 0
    print(f"{recording.name}: {long['duration_s'] / 60:.1f} minutes, {asked.model}")
    with Service({"STT_LAB_LOG_LEVEL": "error"}) as service:
        page = Page(service)
        for number in range(asked.count):
            session, waited = f"cancel-{number}", chance.uniform(0.0, 25.0)
            reader = page.begin(recording, asked.model, session)
            time.sleep(waited)
            began = time.monotonic()
            page.join("cancel", [], session)
            reader.join(LONGEST_S)
            said_s, idle_s, left = time.monotonic() - began, idle_after(service, began), page.left()
            fine = "Cancelled." in page.said and max(said_s, idle_s) < END_S and not any(left.values())
            faults += not fine
            row = {"after_s": round(waited, 1), "said_s": round(said_s, 2), "idle_s": round(idle_s, 2)}
            print(json.dumps(row | left | {"fine": fine}), flush=True)
    print(f"{asked.count - faults} of {asked.count} as promised")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
