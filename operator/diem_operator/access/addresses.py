"""Whose address counts: that of the connection, or what a trusted proxy says that it was.

Anybody may send X-Forwarded-For, and each proxy appends the address that it saw. So the header is read from the right,
and only as far as those who wrote it are trusted: the first address that is no trusted proxy's is the caller's.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_WITH_PORT: Final = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d+)?|(?P<v4>[\d.]+):\d+")
"""How some proxies write an address: `[2001:db8::1]:4711`, `192.0.2.1:4711`."""

_IPV6_SITE_BITS: Final = 64
"""What one subscriber has at the least (RFC 6177): he may use each address of it."""


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read address ranges: `10.0.0.0/8`, `2001:db8::/32`, or one address.

    Raises:
        ValueError: a text is none.
    """
    return tuple(ip_network(text) for text in texts)


def find_caller(peer: str, forwarded_for: Sequence[str], *, trusted: Sequence[Network]) -> str:
    """Return the text under which a caller's failures are counted.

    Args:
        peer: the address at the other end of the connection.
        forwarded_for: every X-Forwarded-For of the request, in order.
        trusted: where proxies are whose word counts.
    """
    caller = _parse(peer)
    if caller is None:
        return peer
    if _is_within(caller, trusted):
        for text in reversed(",".join(forwarded_for).split(",")):
            address = _parse(text.strip())
            if address is None:
                break  # no address: then the proxy that wrote it is the last one known
            caller = address
            if not _is_within(caller, trusted):
                break
    return _count_as(caller)


def _parse(text: str) -> Address | None:
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((found["v6"] or found["v4"]) if found else text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _count_as(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), _IPV6_SITE_BITS), strict=False))
