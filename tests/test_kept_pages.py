"""Gradio's page and configuration are made once for all who get the same (stt_lab.ui.kept_pages)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from stt_lab.ui import kept_pages
from stt_lab.ui.kept_pages import KeptPages

HOST = {"host": "localhost"}


class Pages:
    """An application that counts what it makes."""

    def __init__(self, status: int = 200) -> None:
        self.made, self.status = 0, status
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(KeptPages(self)), base_url="http://localhost")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.made += 1
        number = self.made
        await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"x-made", b"%d" % number)]})
        await send({"type": "http.response.body", "body": b"page %d" % number})

    def get(self, *paths: str, **headers: str) -> list[str]:
        """The answers to requests at the same time."""

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*(self.client.get(path, headers=headers) for path in paths))

        return [f"{answer.status_code} {answer.text}" for answer in asyncio.run(all_of_them())]


def test_the_same_page_is_made_once() -> None:
    pages = Pages()
    assert pages.get("/", "/", "/") == ["200 page 1"] * 3
    assert pages.get("/config") == ["200 page 2"]
    assert pages.get("/", cookie="session=1") == ["200 page 1"]


@pytest.mark.parametrize("name", kept_pages.DECIDING)
def test_a_page_of_another_address_is_another_one(name: str) -> None:
    pages = Pages()
    assert pages.get("/") == ["200 page 1"]
    assert pages.get("/", **{name: "evil.example"}) == ["200 page 2"]
    assert pages.get("/") == ["200 page 1"]


def test_other_requests_are_passed_on() -> None:
    pages = Pages()
    paths = ["/?deep_link=1", "/assets/a.js", "/gradio_api/info"]
    assert pages.get(*paths, *paths) == [f"200 page {number}" for number in range(1, 7)]
    assert pages.get("/", host="a" * kept_pages.LONGEST) != pages.get("/", host="a" * kept_pages.LONGEST)


def test_an_error_is_not_kept() -> None:
    pages = Pages(500)
    assert pages.get("/") == ["500 page 1"]
    assert pages.get("/") == ["500 page 2"]


def test_there_are_few_of_them() -> None:
    pages = Pages()
    for number in range(kept_pages.MOST + 1):
        pages.get("/", host=f"host{number}")
    assert pages.get("/", host="host1") == ["200 page 2"]
    assert pages.get("/", host="host0") == [f"200 page {kept_pages.MOST + 2}"]
