"""Detect requests that a browser sent from a page of another site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


def is_foreign(method: str, headers: Mapping[str, str], hosts: Iterable[str], encrypted: bool) -> bool:
    """Return whether a page of another origin sent a request with this method and these headers.

    `hosts` are this server's names, with or without a port; `encrypted` says whether the client's own connection is
    encrypted. Pages cannot set `Sec-Fetch-Site` and `Origin`; browsers send the former only over HTTPS and to their
    own machine. Following a link from another site is not foreign, because that page cannot read the answer. Clients
    other than browsers send neither header.
    """
    site = headers.get("sec-fetch-site", "none")
    if site != "none":
        return site != "same-origin" and not _opens(method, headers)
    origin = headers.get("origin")
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
