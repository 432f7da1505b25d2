"""Detect requests that a browser sent from a page of another site, or under a name that is not this server's. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
HOST = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d*)?|([^\s:/@?#\[\]\\]+)(?::\d*)?")
PROXY_HEADERS = ("forwarded", "via", "x-real-ip")  # and all that begin with X-Forwarded-


def host_name(host: str) -> str:
    """Return the name in a Host header, without its port, in lower case; "" if it has none."""
    found = HOST.fullmatch(host.strip())
    return (found[1] or found[2]).lower().rstrip(".") if found else ""


def came_through_a_proxy(headers: Iterable[str]) -> bool:
    """Return whether a request with headers of these names was passed on by a proxy."""
    return any(name.lower() in PROXY_HEADERS or name.lower().startswith("x-forwarded-") for name in headers)


def is_foreign(method: str, headers: Mapping[str, str], hosts: Iterable[str], encrypted: bool) -> bool:
    """Return whether a page of another origin sent a request with this method and these headers.

    `hosts` are this server's names, with or without a port; `encrypted` says whether the client's own connection is
    encrypted. Pages cannot set `Sec-Fetch-Site` and `Origin`; browsers send the former only over HTTPS and to their
    own machine. Following a link from another site is not foreign, because that page cannot read the answer. Clients
    other than browsers send neither header; a form that has neither is judged by its `Referer`, where there is one.
    """
    site = headers.get("sec-fetch-site", "none")
    if site != "none":
        return site != "same-origin" and not _opens(method, headers)
    origin = headers.get("origin")
    if origin is None and method not in ("GET", "HEAD"):
        origin = headers.get("referer")
    return origin is not None and not _is_own(origin, hosts, encrypted)


def _opens(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a person opens an address in a browser window, not inside another page."""
    mode, target = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return method in ("GET", "HEAD") and mode == "navigate" and target == "document"


def _is_own(origin: str, hosts: Iterable[str], encrypted: bool) -> bool:
    scheme = origin.partition(":")[0]
    if scheme not in PORTS or (encrypted and scheme != "https"):
        return False
    wanted = _place(origin, PORTS[scheme])
    return wanted is not None and any(_place(f"//{host.strip()}", PORTS[scheme]) == wanted for host in hosts)


def _place(address: str, port: int) -> tuple[str, int] | None:
    """Return host and port of an address, with the default port if it names none; None without a host."""
    try:
        parts = urlsplit(address)
        return (parts.hostname, parts.port or port) if parts.hostname else None
    except ValueError:  # invalid port or IPv6 address
        return None
