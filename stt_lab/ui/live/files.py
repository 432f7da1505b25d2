"""The files of the Live tab that run in the browser."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse

HERE = Path(__file__).parent
STYLE = HERE / "live.css"
SCRIPT = HERE / "live.js"
WORKLET = HERE / "worklet.js"
WORKLET_PATH = "/live/worklet.js"  # live.js loads it: browsers take an AudioWorklet only as a file


async def worklet() -> FileResponse:
    return FileResponse(WORKLET, media_type="text/javascript")
