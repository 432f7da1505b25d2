"""The modules and styles of the Library tab, served under an address that changes with their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.responses import FileResponse

from stt_lab.errors import NotFound

HERE = Path(__file__).parent
TYPES = {".js": "text/javascript", ".css": "text/css", ".ogg": "audio/ogg"}
FILES = {path.name: path for folder in (HERE, HERE / "vendor") for path in folder.iterdir() if path.suffix in TYPES}
VERSION = hashlib.sha256(b"".join(FILES[name].read_bytes() for name in sorted(FILES))).hexdigest()[:12]
PATH = "/page/{version}/{name}"
HEAD = f'<script type="module" src="page/{VERSION}/main.js"></script>'
KEPT = "public, max-age=31536000, immutable"  # a year
POLICY = "default-src 'none'"  # for somebody who opens a file as a page


async def file(version: str, name: str) -> FileResponse:
    """Answer with a file of the current version. Raises NotFound for another."""
    if version != VERSION or name not in FILES:
        raise NotFound("There is no such file of the page. Reload the page.")
    path = FILES[name]
    headers = {"Cache-Control": KEPT, "Content-Security-Policy": POLICY}
    return FileResponse(path, media_type=TYPES[path.suffix], headers=headers)
