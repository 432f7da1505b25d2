"""kill -9 of the server while it receives, decodes and settles: is anything stuck, lost, charged twice or left behind?

    python eval/kills.py                     25 kills over SQLite
    python eval/kills.py --database URL      over an empty database, such as one of PostgreSQL

The real server, in its own processes and with real weights, lives and dies over one data directory. In each life
clients send recordings: they wait, ask for a job, cancel, have a key or none. A kill is aimed by what appears on the
disk: a file in uploads (a body arrives), in jobs (it is accepted), in work (it is decoded) or in audio (the transaction
that ends the job is next). Half of the kills hit the server alone, so that its children must notice. Every fourth is
followed by another one while the next life takes up what was left. The next life finishes everything, then
eval/invariants.py looks at the database and the disk, and the clients come back with their Idempotency-Keys.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from callers import KINDS, Client, Request
from invariants import Clip, House, at_kill, look
from service import RESULTS, Service, recordings

from stt_lab.accounts.accounts import Accounts
from stt_lab.jobs.files import digest
from stt_lab.settings import Settings, get_settings
from stt_lab.store.database import Database
from stt_lab.store.queue import LEASE

CREDITS = 10_000
CROWD = 4  # clients in each life
UPLOAD_S, CHUNK = 1.5, 65_536  # of a slow upload; bytes that are sent at once
SECOND, SECOND_S = 4, 6.0  # every so many kills another one follows, within seconds of the next start
APPEARS_S = 60.0  # a life in which nothing appears to aim at is killed anyway
ENDS_S = LEASE.total_seconds() + 90  # until what a kill left has ended: the lease, the work, and a margin
TIDY_S = 3.0  # after that, until the last files are gone
GONE_S = 10.0  # until the children of a dead server are gone
FOREIGN = (".ses",)  # onnxruntime's, in the temporary folder: one file with a random number, whoever uses it


@dataclass(frozen=True)
class Aim:
    """A kill falls at most so many seconds after something new in a folder of the data directory."""

    folder: str
    within: float


AIMS = {
    "upload": Aim("uploads", UPLOAD_S + 0.1),
    "accept": Aim("jobs", 0.1),
    "decode": Aim("work", 2.5),
    "settle": Aim("audio", 0.04),
}
PLAN = ("upload", "decode", "settle", "accept", "decode", "settle")


class Mortal(Service):
    """A server that is going to be killed."""

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError("The server did not start again: what it wrote stands above.")
        return super()._answers()

    def kill(self, whole: bool) -> list[psutil.Process]:
        """SIGKILL, to the children too if `whole`; who should be gone soon."""
        self.process.suspend()  # this is the moment: nothing more is started, written or answered
        children: list[psutil.Process] = self.process.children(recursive=True)
        self.process.kill()
        for child in children if whole else []:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()
        return children

    def __exit__(self, *raised: object) -> None:
        if self.process.poll() is None:
            super().__exit__(*raised)


@dataclass
class Trial:
    """Lives and deaths over one house."""

    house: House
    raw_key: str
    model: str
    clips: list[Clip]
    rng: random.Random
    crowd: list[Request] = field(default_factory=list)  # of the last life
    requests: list[Request] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    rows: list[dict[str, Any]] = field(default_factory=list)  # of kills
    faults: list[str] = field(default_factory=list)

    @property
    def temporary(self) -> Path:
        return self.house.folder.parent / "tmp"

    def server(self) -> Mortal:
        self.temporary.mkdir(exist_ok=True)
        places = {"DATA_DIR": self.house.folder, "DATABASE_URL": self.house.url, "LOG_LEVEL": "error"}
        environ = {f"STT_LAB_{name}": str(value) for name, value in places.items()}
        return Mortal(environ | {"TMPDIR": str(self.temporary)})

    def client(self, server: Service) -> Client:
        return Client(server.url, self.raw_key, self.model)

    def life(self, aim: str) -> None:
        """A server makes good what its predecessor left, works, and dies."""
        with self.server() as server:
            self.recover(server, self.crowd)
            self.crowd = [self.request(slow=aim == "upload" and not n) for n in range(CROWD)]
            threads = [threading.Thread(target=self.client(server).ask, args=[one, self.refused]) for one in self.crowd]
            for thread in threads:
                thread.start()
            hit = self._await(AIMS[aim], 1 if aim == "upload" else self.rng.randint(1, 3), threads)
            self._kill(server, aim if hit else f"{aim}, missed")
            for thread in threads:
                thread.join()
        if len(self.rows) % SECOND == 0:
            with self.server() as server:
                time.sleep(self.rng.uniform(0, SECOND_S))
                self._kill(server, "again")

    def request(self, slow: bool) -> Request:
        short, long, rng = self.clips[:-1], self.clips[-1], self.rng
        clip = long if slow or rng.random() < 0.2 else rng.choice(short)
        made = Request(f"{len(self.requests)}.flac", rng.choice(KINDS), clip, wait=rng.uniform(0, 3))
        if slow:
            made.kind, made.pause = rng.choice(KINDS[:3]), UPLOAD_S * CHUNK / long.path.stat().st_size
        self.requests.append(made)
        return made

    def _await(self, aim: Aim, nth: int, threads: list[threading.Thread]) -> bool:
        """Until the n-th thing has appeared, and some time more; False when nothing is going to."""
        seen, deadline = {path.name for path in self.house.files(aim.folder)}, time.monotonic() + APPEARS_S
        for _ in range(nth):
            while not (new := {path.name for path in self.house.files(aim.folder)} - seen):
                if time.monotonic() > deadline or not any(thread.is_alive() for thread in threads):
                    return False
                time.sleep(0.0005)
            seen |= new
        time.sleep(self.rng.uniform(0, aim.within))
        return True

    def _kill(self, server: Mortal, aim: str) -> None:
        whole = self.rng.random() < 0.5
        children = server.kill(whole)
        row = {"kill": len(self.rows) + 1, "aim": aim, "killed": "all" if whole else "server"}
        self.rows.append(row | {"at": dict(+at_kill(self.house)), "orphans_s": self._gone(children)})

    def _gone(self, children: list[psutil.Process]) -> float:
        """Seconds until the children of a dead server have ended."""
        began = time.monotonic()
        _, alive = psutil.wait_procs(children, GONE_S)
        self.faults += [f"process {process.pid} outlives its server" for process in alive]
        return round(time.monotonic() - began, 2)

    def recover(self, server: Service, crowd: list[Request]) -> None:
        """All that was left ends, and what clients were told still holds."""
        began = time.monotonic()
        while self.house.unfinished() and time.monotonic() - began < ENDS_S:
            time.sleep(0.2)
        ended, told = time.monotonic() - began, sum(one.answer is not None for one in crowd)
        self.check()
        self.note([problem for one in crowd if (problem := self.client(server).denied(one))])
        self.check()
        if self.rows:
            self.rows[-1] |= {"start_s": round(server.ready_after, 1), "ended_s": round(ended, 1), "told": told}
            print(json.dumps(self.rows[-1]), flush=True)

    def check(self) -> None:
        clips, deadline = {request.name: request.clip for request in self.requests}, time.monotonic() + TIDY_S
        while (found := look(self.house, clips).broken()) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.note(found)

    def note(self, faults: list[str]) -> None:
        for fault in faults:
            print(f"after kill {len(self.rows)}: {fault}", flush=True)
        self.faults += faults

    def end(self) -> dict[str, Any]:
        """A last life, in which every client comes back, and which ends as it should."""
        with self.server() as server:
            self.recover(server, self.crowd)
            self.note([problem for one in self.requests if (problem := self.client(server).denied(one))])
            self.check()
            children = server.tree()[1:]
        self._gone(children)
        waiting = len(self.house.files("jobs"))
        self.house.sweep()
        left = [*self.house.files("jobs"), *(path for path in self.temporary.iterdir() if path.name not in FOREIGN)]
        self.note([f"{path.name} is left at the end" for path in left])
        texts = {(one.clip.path, one.answer["text"]) for one in self.requests if one.answer}
        return {"left_to_sweep": waiting, "clips": len({path for path, _ in texts}), "texts": len(texts)}

    def summary(self) -> dict[str, Any]:
        found = look(self.house, {})
        at = [Counter(dict.fromkeys(row["at"], 1)) for row in self.rows]
        slowest = {name: max(row.get(name, 0) for row in self.rows) for name in ("start_s", "ended_s", "orphans_s")}
        return {
            "kills": len(self.rows),
            "aims": Counter(row["aim"] for row in self.rows),
            "kills_that_met": sum(at, Counter[str]()),
            "requests": Counter(one.kind for one in self.requests),
            "told_before_the_kill": sum(row.get("told", 0) for row in self.rows),
            "refused": self.refused,
            "jobs": Counter(job.state for job in found.jobs),
            "runs_of_a_job": Counter(job.attempts for job in found.jobs),
            "entries": Counter(entry.kind for entry in found.entries),
            "slowest": slowest,
            "faults": self.faults,
        }


def prepare(folder: Path, url: str | None) -> tuple[House, str]:
    """A paying account and its key; strangers may send as much as they like."""
    address = url or f"sqlite:///{folder / 'data' / 'stt_lab.db'}"
    database = Database(address)
    database.migrate()
    accounts = Accounts(database)
    accounts.set_tier(replace(accounts.tiers()["anonymous"], per_day=CREDITS, concurrent_jobs=CROWD))
    account = accounts.create("kills", tier="paid")
    accounts.grant(account.id, CREDITS)
    _, raw_key = accounts.create_key(account.id, "kills", ["speech", "library"])
    database.close()
    return House(folder / "data", address, account.id, CREDITS), raw_key


def choose(settings: Settings) -> list[Clip]:
    """Ten short recordings, and a long one at the end."""
    known = recordings(settings)
    chosen = [r for r in known if r["path"].startswith("librispeech_test_other") and r["duration_s"] < 9][:10]
    chosen += [r for r in known if r["path"].endswith("conv_dev_2spk.flac")]
    paths = [settings.speech_dir / r["path"] for r in chosen]
    return [Clip(path, r["duration_s"], digest(path)) for path, r in zip(paths, chosen, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="without those that follow others")
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--database", help="address of an empty database; a new SQLite file when left out")
    parser.add_argument("--json", type=Path, default=RESULTS / "kills.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        house, raw_key = prepare(Path(folder), chosen.database)
        trial = Trial(house, raw_key, chosen.model, choose(get_settings()), random.Random(chosen.seed))
        for number in range(chosen.kills):
            trial.life(PLAN[number % len(PLAN)])
        end = trial.end()
        found = {"database": house.url.partition(":")[0], "model": chosen.model, "seed": chosen.seed}
        found |= trial.summary() | end | {"rows": trial.rows}
    chosen.json.parent.mkdir(exist_ok=True)
    chosen.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps({name: value for name, value in found.items() if name != "rows"}, indent=1))


if __name__ == "__main__":
    main()
