"""Whether a browser sent a request from a page of another site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


def is_foreign(method: str, headers: Mapping[str, str], hosts: Iterable[str], encrypted: bool) -> bool:
    """Say whether a page of another origin than ours sent a request with this method and these headers.

    `hosts` are the names, with or without a port, under which the client may know this server; `encrypted` says whether
    the client's own connection is. Browsers do not let pages write `Sec-Fetch-Site` and `Origin`; they send the former
    only over HTTPS and to their own machine. A person who follows a link from another site's page is not foreign: that
    page cannot read the answer. A client that is no browser sends neither header.
    """
    site = headers.get("sec-fetch-site", "none")
    if site != "none":
        return site != "same-origin" and not _opens(method, headers)
    origin = headers.get("origin")
    return origin is not None and not _is_own(origin, hosts, encrypted)


def _opens(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a person opens an address in a window of its own."""
    mode, target = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return method in ("GET", "HEAD") and mode == "navigate" and target == "document"


def _is_own(origin: str, hosts: Iterable[str], encrypted: bool) -> bool:
    scheme = origin.partition(":")[0]
    if scheme not in PORTS or (encrypted and scheme != "https"):
        return False
    wanted = _place(origin, PORTS[scheme])
    return wanted is not None and any(_place(f"//{host.strip()}", PORTS[scheme]) == wanted for host in hosts)


def _place(address: str, port: int) -> tuple[str, int] | None:
    """Name and port of an address, with the port that goes without saying; None where it has no name."""
    try:
        parts = urlsplit(address)
        return (parts.hostname, parts.port or port) if parts.hostname else None
    except ValueError:  # a port that is no number, or half an IPv6 address
        return None
