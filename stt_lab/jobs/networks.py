"""Which IP addresses are public: those outside of all networks with a special purpose.

The table is that of IANA's registries of special-purpose addresses, for IPv4 and IPv6 (RFC 6890, as of November 2026),
whole: also networks that the registries call reachable, since nobody receives webhooks there. Added are multicast, the
deprecated forms of IPv6, and addresses at which clouds answer with a machine's secrets.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by customers of a provider; Alibaba's metadata, 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host
        "169.254.0.0/16",  # link-local; metadata of most clouds, 169.254.169.254 and 169.254.170.2
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata, 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112-v4
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4 and 6a44
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # direct delegation AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the limited broadcast 255.255.255.255
    )
)
ALLOCATED = IPv6Network("2000::/3")  # everything that is global unicast; the rest of IPv6 is special or unassigned
IPV6 = tuple(
    IPv6Network(network)
    for network in (  # inside of ALLOCATED
        "2001::/23",  # protocol assignments: Teredo 2001::/32, benchmarks 2001:2::/48, ORCHID, DRIP and others
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # direct delegation AS112
        "3fff::/20",  # documentation
    )
)
NAT64 = IPv6Network("64:ff9b::/96")  # the one prefix that stands for public IPv4; 64:ff9b:1::/48 is for local use
ISATAP = (0x00005EFE, 0x02005EFE)  # upper half of an interface's id whose lower half is an IPv4 address


def is_public(address: str) -> bool:
    """Return whether an IP address is public, and so is the IPv4 address inside of it, if there is one."""
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in IPV4)
    if ip.scope_id:
        return False
    if ip.ipv4_mapped:
        return is_public(str(ip.ipv4_mapped))
    if ip in NAT64:
        return is_public(str(_last(ip)))
    if (int(ip) >> 32) & 0xFFFFFFFF in ISATAP and not is_public(str(_last(ip))):
        return False
    return ip in ALLOCATED and not any(ip in network for network in IPV6)


def _last(ip: IPv6Address) -> IPv4Address:
    """Return the IPv4 address in the last 32 bits."""
    return IPv4Address(int(ip) & 0xFFFFFFFF)


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
