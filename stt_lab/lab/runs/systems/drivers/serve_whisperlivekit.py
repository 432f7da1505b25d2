"""Serve WhisperLiveKit on a port of this machine; each request is answered with the address of its WebSocket.

Its own decoding policy needs other weights than ours, so it runs LocalAgreement over faster-whisper. `options` are
options of its command line.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
import time
from typing import Any

PLAIN = {"backend": "faster-whisper", "backend-policy": "localagreement", "lan": "auto", "warmup-file": ""}
START_S = 300.0


def load(hello: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    os.environ["HF_HUB_OFFLINE"] = "1"
    options = {**PLAIN, "model_dir": hello["weights"], **hello["options"]}
    sys.argv = ["whisperlivekit", "--pcm-input"]  # read when its server is imported
    for name, value in options.items():
        sys.argv += [f"--{name}", str(value)]
    app = importlib.import_module("whisperlivekit.basic_server").app
    address = _serve(app)

    def hear(samples: Any, language: str | None, speakers: int) -> dict[str, Any]:
        return {"url": f"ws://127.0.0.1:{address}/asr?language={language or 'auto'}"}

    return ("whisperlivekit", "faster-whisper", "ctranslate2"), hear


def _serve(app: Any) -> int:
    """Start the server in a thread; return its port when its model is loaded."""
    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("its server did not start.")
        time.sleep(0.1)
    return int(listener.getsockname()[1])
