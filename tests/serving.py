"""`stt-lab serve` in a process of its own, as people run it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import psutil
from fakes import environ, files, program, until


class Server:
    """A running server, and what it has printed."""

    def __init__(self, folder: Path, command: list[str], env: dict[str, str]) -> None:
        self.folder = folder
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.lines)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors)),
        ]
        for reader in self._readers:
            reader.start()
        until(lambda: self.lines or self.process.poll() is not None, 120)  # of processor time it takes 5 s
        assert self.lines, self.errors
        until(lambda: "ranscribe" in self.lines[-1] or "No model" in self.lines[-1], 20)
        self.url = self.lines[0].rpartition(" ")[2]
        self.client = httpx.Client(base_url=self.url, timeout=60)

    @staticmethod
    def _read(pipe: IO[str], lines: list[str]) -> None:
        lines.extend(line.rstrip("\n") for line in pipe)  # one by one, as they come

    def children(self) -> list[psutil.Process]:
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def end(self, number: int = signal.SIGTERM) -> float:
        """Seconds that the server and all that share its pipes needed to end."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(15)
        for reader in self._readers:
            reader.join(15)
            assert not reader.is_alive(), "a child still has the server's pipes"
        return time.monotonic() - began

    def close(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        for reader in self._readers:
            reader.join(15)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        self.process.wait()

    def leftovers(self) -> list[Path]:
        return [path for name in ("uploads", "work", "gradio") for path in files(self.folder / "data" / name)]


@contextmanager
def serving(folder: Path, fakes: bool = True, port: int = 0, **more: str) -> Iterator[Server]:
    """A server on a port, or on a free one for 0; with fakes, or with the weights that are installed."""
    command = program(folder, "serve") if fakes else [sys.executable, "-m", "stt_lab", "serve"]
    server = Server(folder, [*command, "--port", str(port)], environ(folder, **more))
    try:
        yield server
    finally:
        server.close()


def gone(children: list[psutil.Process]) -> bool:
    return not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
