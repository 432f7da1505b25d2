"""An honest client beside attackers: is it answered, and how quickly? Do memory and descriptors stay as they are?

    python eval/hostile.py [--minutes 30] [--alone 5]

The client first has the server for itself. Attackers (eval/attacks.py) come from other addresses of this machine and
have an account of their own; they share its two processors with the server, at low priority. Results go to
eval/results/hostile.json; ends with 1 where an answer is missing or a fault of the server was seen.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import attacks
import httpx
import psutil
from service import RESULTS, Service, recordings

from stt_lab.settings import get_settings

PAUSE_S = 0.5  # between the honest client's requests
WATCH_S = 10.0  # between looks at memory and descriptors
CLIP_S = (2.0, 5.0)  # shortest and longest recording of the honest client


@dataclass
class Honest:
    """A person who uses the API: looks, reads, analyses, and transcribes short recordings."""

    client: httpx.Client
    clip: Path
    seconds: dict[str, list[float]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def requests(self) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
        """Yield kind, method, path and content, in turns."""
        text = {"text": "Ada met Grace in London on Friday. They will send the plan by Monday.", "type": "entities"}
        files = {"file": (self.clip.name, self.clip.read_bytes())}
        yield "health", "GET", "/health", {}
        yield "list", "GET", "/api/v1/transcripts/", {}
        yield "search", "GET", "/api/v1/search?query=the", {}
        yield "analyze", "POST", "/v1/analyze", {"json": text}
        yield "page", "GET", "/", {}
        yield "transcribe", "POST", "/v1/transcribe", {"files": files, "data": {"diarize": "false", "language": "en"}}

    def work(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for kind, method, path, content in self.requests():
                began = time.perf_counter()
                try:
                    answer = self.client.request(method, path, **content)
                    problem = "" if answer.is_success else f"{answer.status_code} {answer.text[:120]}"
                except httpx.HTTPError as raised:
                    problem = type(raised).__name__
                self.seconds.setdefault(kind, []).append(time.perf_counter() - began)
                if problem:
                    self.refused.append(f"{kind}: {problem}")
                time.sleep(PAUSE_S)

    def quantiles(self) -> dict[str, dict[str, float]]:
        """Return median, 95 % quantile and number by kind of request, and of all."""
        kinds = self.seconds | {"all": [one for some in self.seconds.values() for one in some]}
        return {
            kind: {"median": statistics.median(some), "p95": sorted(some)[int(0.95 * (len(some) - 1))], "n": len(some)}
            for kind, some in kinds.items()
            if some
        }


def account(service: Service, name: str) -> str:
    """Make an account with credits; return its key."""
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {service.key}"}) as admin:
        made = admin.post("/api/v1/accounts/", json={"name": name, "tier": "paid"}).raise_for_status().json()
        path = f"/api/v1/accounts/{made['id']}"
        admin.post(f"{path}/credits/", json={"credits": 100_000}).raise_for_status()
        scopes = ["speech", "text", "library", "account"]
        return str(admin.post(f"{path}/keys/", json={"name": name, "scopes": scopes}).raise_for_status().json()["key"])


def descriptors(service: Service) -> int:
    total = 0
    for process in service.tree():
        try:
            total += process.num_fds()
        except psutil.Error:
            continue
    return total


def measure(minutes: float, alone: float) -> dict[str, Any]:
    settings = get_settings()
    rows = [row for row in recordings(settings) if row.get("text")]
    clip = next(settings.speech_dir / r["path"] for r in rows if CLIP_S[0] <= r["duration_s"] <= CLIP_S[1])
    long = max((r for r in rows if r["duration_s"] <= 600), key=lambda row: row["duration_s"])
    with Service({}) as service:
        key, their_key = account(service, "honest"), account(service, "attackers")
        headers = {"Authorization": f"Bearer {key}"}
        for one in (key, their_key):  # loads the models, and gives each something to read
            service_answer = httpx.post(
                f"{service.url}/v1/transcribe",
                files={"file": (clip.name, clip.read_bytes())},
                headers={"Authorization": f"Bearer {one}"},
                timeout=300,
            )
            service_answer.raise_for_status()
        with httpx.Client(base_url=service.url, headers=headers, timeout=120) as client:
            Honest(client, clip).work(30)  # warm
            before, under = Honest(client, clip), Honest(client, clip)
            before.work(alone * 60)
            print("alone:", json.dumps(before.quantiles()), flush=True)
            looks, faults, statuses = attacked(service, under, their_key, settings.speech_dir / long["path"], minutes)
            after = Honest(client, clip)
            after.work(30)
            looks.append(look(service))
    alone_p95 = {kind: one["p95"] for kind, one in before.quantiles().items()}
    ratios = {kind: one["p95"] / alone_p95[kind] for kind, one in under.quantiles().items()}
    return {
        "minutes": minutes,
        "alone": before.quantiles(),
        "attacked": under.quantiles(),
        "after": after.quantiles(),
        "ratios_of_p95": ratios,
        "refused": {"alone": before.refused, "attacked": under.refused, "after": after.refused},
        "attacks": statuses,
        "faults": faults,
        "looks": looks,
    }


def look(service: Service) -> dict[str, float]:
    return {
        "t": round(time.monotonic()),
        "mb": round(service.memory() / 1e6),
        "server_mb": round(service.process.memory_info().rss / 1e6),
        "descriptors": descriptors(service),
    }


def attacked(
    service: Service, honest: Honest, key: str, recording: Path, minutes: float
) -> tuple[list[dict[str, float]], list[str], dict[str, Any]]:
    """Let the honest client work beside the attackers. Return looks at the server, faults, and what attackers saw."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    seconds = minutes * 60
    process = context.Process(target=attacks.run, args=(service.url, key, recording, seconds, theirs), daemon=True)
    process.start()
    looks, ends = [look(service)], time.monotonic() + seconds
    try:
        while time.monotonic() < ends:
            honest.work(WATCH_S)
            looks.append(look(service))
            if len(looks) % 6 == 0:
                slow = {kind: f"{found['p95']:.2f} s" for kind, found in honest.quantiles().items()}
                print(json.dumps(looks[-1] | slow | {"refused": len(honest.refused)}), flush=True)
        told: dict[str, Any] = (
            json.loads(ours.recv()) if ours.poll(attacks.TIMEOUT_S * 3) else {"statuses": {}, "faults": ["no word"]}
        )
    finally:
        process.kill()
        process.join()
    return looks, told["faults"], told["statuses"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--alone", type=float, default=5)
    options = parser.parse_args()
    result = measure(options.minutes, options.alone)
    (RESULTS / "hostile.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    shown = {name: result[name] for name in ("ratios_of_p95", "refused", "attacks", "faults")}
    print(json.dumps(shown, indent=1))
    print("memory and descriptors:", *result["looks"][:: max(1, len(result["looks"]) // 8)], sep="\n  ")
    return 1 if result["faults"] or any(result["refused"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
