"""The files of the Live tab that run in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import FileResponse

if TYPE_CHECKING:
    from fastapi import FastAPI

HERE = Path(__file__).parent
STYLE = HERE / "live.css"
SCRIPT = HERE / "live.js"
WORKLET = HERE / "worklet.js"
WORKLET_PATH = "/live/worklet.js"  # live.js loads it: browsers take an AudioWorklet only as a file


def add_worklet(app: FastAPI) -> None:
    """Add the route of the worklet to an application, before the page is mounted."""
    app.add_api_route(WORKLET_PATH, _worklet, include_in_schema=False)


async def _worklet() -> FileResponse:
    return FileResponse(WORKLET, media_type="text/javascript")
