"""Public addresses: which addresses of the Internet a request that somebody else asked for may go to.

`ipaddress.is_global` is no judge of that: it lets NAT64, 6to4 and 192.0.0.8 pass. What is refused stands here, after IANA's
registries of special-purpose addresses (IPv4 and IPv6, as of October 2025). Of IPv6 only 2000::/3 is given out at all, so
whatever carries an IPv4 address (mapped, compatible, NAT64) lies outside of it; 6to4 and Teredo are refused by name.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from domain.bounds import ENDPOINT_CHARS_MAX
from domain.errors import EndpointRefusedError

Network = IPv4Network | IPv6Network

PORT = 443
PORTS = frozenset({443, 8443})
SPECIAL = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
            "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32",  # a public address by which Azure's own machines answer its guests
            "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
        ),
    )
)  # fmt: skip
GIVEN_OUT = ip_network("2000::/3")
# Names that are never public (RFC 6761, 6762, 8375, ICANN's `internal`).
PRIVATE_NAMES = re.compile(r"(?:^|\.)(?:localhost|local|internal|intranet|lan|home|home\.arpa|test|invalid|onion|alt)$")
# ASCII as RFC 3986 writes it, with nothing before an @, and no backslash, which some parsers take for a slash.
URL = re.compile(
    r"https://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-\[\]-~]*)?", re.I
)
NAME = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*", re.I)
NUMERIC = re.compile(
    r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$", re.I
)  # the last label: then it is an IPv4 address (WHATWG URL 3.5)


class Reachable:
    """What may be reached: public addresses at two ports, and whatever lies in the operator's own list of networks."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)

    def is_reachable(self, address: str, port: int) -> bool:
        """Return whether a connection may be opened to this address, as the system's resolver wrote it."""
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        if any(ip in network for network in self._networks):
            return True
        return port in PORTS and is_public(ip)

    def require_url(self, url: str) -> SplitResult:
        """Return the parts of a URL that may be sent to, as far as its text says. Raise `EndpointRefusedError`.

        What a name resolves to is judged when a connection is opened, and not before: it may be another address by then.
        """
        found = URL.fullmatch(url) if len(url) <= ENDPOINT_CHARS_MAX and "#" not in url else None
        if found is None:
            raise EndpointRefusedError
        host, port = found["host"].lower(), int(found["port"] or PORT)
        if not self._is_host(host, port):
            raise EndpointRefusedError
        return urlsplit(url)

    def _is_host(self, host: str, port: int) -> bool:
        if not 0 < port < 65536:
            return False
        if host.startswith("["):
            return self.is_reachable(host[1:-1], port)
        if NUMERIC.search(host):
            return self.is_reachable(host, port)  # 127.1, 0x7f000001 and 2130706433 are no addresses here
        if NAME.fullmatch(host) is None:
            return False
        return bool(self._networks) or (port in PORTS and "." in host and not PRIVATE_NAMES.search(host))


def is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is one that the Internet routes to somebody."""
    if isinstance(ip, IPv6Address) and (ip not in GIVEN_OUT or ip.scope_id is not None):
        return False
    return not any(ip in network for network in SPECIAL if network.version == ip.version)
