"""Does the server's memory grow with anonymous calls of Gradio's API?

    python eval/gradio_memory.py             500 and 5,000 calls without a session, a tenth with a body of 0.5 MB

Calls by a server of its own on this machine; prints the resident memory after 500 and after 5,000 calls, and fails if
the second is more than 5 % above the first.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import httpx
from service import Service

FIRST, LAST, MOST = 500, 5_000, 1.05
AT_ONCE = 8  # calls in flight
LARGE = "a visitor's words " * 30_000  # 0.5 MB
SETTLED_S = 8.0  # longer than a sweep of the page
LONGEST_S = 1500.0


async def call(client: httpx.AsyncClient, number: int) -> None:
    """Send one call; the answer of every other one is never fetched."""
    name, values = ("analyze", {"text": LARGE, "type": "topics"}) if number % 10 == 0 else ("languages", {})
    answer = await client.post(f"/gradio_api/call/v2/{name}", json=values)
    if answer.status_code == 200 and number % 2:
        await client.get(f"/gradio_api/call/{name}/{answer.json()['event_id']}")


async def calls(url: str, first: int, last: int) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for start in range(first, last, AT_ONCE):
            await asyncio.gather(*(call(client, number) for number in range(start, min(start + AT_ONCE, last))))


def measured(service: Service) -> float:
    """Return the resident memory of the server in MB, without its children."""
    time.sleep(SETTLED_S)
    return float(service.process.memory_info().rss / 2**20)


def main() -> int:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    with Service({"STT_LAB_LOG_LEVEL": "error"}) as service:
        asyncio.run(asyncio.wait_for(calls(service.url, 0, FIRST), LONGEST_S))
        before = measured(service)
        began = time.monotonic()
        asyncio.run(asyncio.wait_for(calls(service.url, FIRST, LAST), LONGEST_S))
        seconds = time.monotonic() - began
        after = measured(service)
    print(f"after {FIRST} calls {before:.0f} MB, after {LAST} calls {after:.0f} MB ({after / before - 1:+.1%})")
    print(f"{(LAST - FIRST) / seconds:.0f} calls a second")
    return 0 if after <= MOST * before else 1


if __name__ == "__main__":
    sys.exit(main())
