"""Which addresses of the internet we may be sent to by somebody else: only public ones.

Whoever calls an address that a stranger gave looks its name up once with `public_addresses` and connects
to what that returned, never to the name again: a name may point elsewhere a moment later.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out (RFC 4291). Outside lie NAT64 (64:ff9b::/96, 64:ff9b:1::/48), link-local,
unique local, multicast and the IPv4-compatible addresses."""
NOT_PUBLIC = (
    ipaddress.ip_network("2002::/16"),  # 6to4 (RFC 3056): leads to the IPv4 address inside it
    ipaddress.ip_network("192.88.99.0/24"),  # relays of 6to4, withdrawn (RFC 7526)
    ipaddress.ip_network("3fff::/20"),  # documentation (RFC 9637)
)
"""What `ipaddress` calls global although nobody is reached there directly."""


class PrivateAddressError(ValueError):
    """A name leads to an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an IP address is of the public internet. Raises ValueError for what is no IP address.

    An IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`) is judged by the IPv4 address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip not in GLOBAL_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in NOT_PUBLIC)


def may_be_public(host: str) -> bool:
    """Whether a host may lead to the public internet; a name is judged when it is looked up."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return False
    try:
        return is_public(name)
    except ValueError:
        return True


async def public_addresses(host: str, port: int, *, anywhere: bool = False) -> list[str]:
    """The IP addresses of a host, in the resolver's order; `anywhere` permits private ones.

    Raises OSError if there are none, PrivateAddressError if any of them is not public.
    """
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in infos))
    if not anywhere and not all(map(is_public, addresses)):
        raise PrivateAddressError(host)
    return addresses
