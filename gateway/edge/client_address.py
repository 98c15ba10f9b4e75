"""The client's address: the peer's, unless the peer is a proxy on the operator's list; then what that proxy says.

The entries of the one header that these proxies write (RFC 7239 `Forwarded`, or `X-Forwarded-For`) are read from the
right: each was written by the hop before. The first that is not a listed proxy is the client; whatever stands left of it,
the client may have made up.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Literal

FORWARDED_HOPS_MAX = 16


Network = IPv4Network | IPv6Network
ForwardedHeader = Literal["x-forwarded-for", "forwarded"]

FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;,\s"]+))', re.IGNORECASE)
IPV4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+")


class Proxies:
    """The operator's list of trusted proxies."""

    def __init__(self, trusted: Sequence[Network] = (), header: ForwardedHeader = "x-forwarded-for") -> None:
        self._trusted = tuple(trusted)
        self._header = header.encode()

    def client(self, scope: Any) -> str | None:
        """Return the address from which a request comes, or None if the server does not know."""
        peer = scope.get("client")
        address: str | None = unmapped(peer[0]) if peer else None
        if address is None or not self.trusts(address):
            return address
        for entry in reversed(self._entries(scope["headers"])):
            found = _address(entry)
            if found is None:
                return address  # a proxy hid it, or wrote something unreadable: then the request counts as the proxy's
            address = found
            if not self.trusts(address):
                break
        return address

    def is_secure(self, scope: Any) -> bool:
        """Return whether the client uses TLS: to this server, or to a listed proxy that says so in `X-Forwarded-Proto`."""
        if scope.get("scheme") in ("https", "wss"):
            return True
        peer = scope.get("client")
        values = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        if not (values and peer and self.trusts(peer[0])):
            return False
        return bool(values[-1].split(b",")[-1].strip().lower() == b"https")

    def trusts(self, address: str) -> bool:
        if not self._trusted:
            return False
        try:
            ip = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        return any(mapped in network for network in self._trusted)

    def _entries(self, headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
        """Return the last `FORWARDED_HOPS_MAX` entries of all lines of the header."""
        lines = [value.decode("latin-1") for name, value in headers if name == self._header]
        entries = ",".join(lines).split(",") if lines else []
        if self._header == b"forwarded":
            entries = [_for(entry) for entry in entries]
        return [entry.strip() for entry in entries][-FORWARDED_HOPS_MAX:]


def unmapped(address: str) -> str:
    """Return an address; of an IPv4-mapped IPv6 one (::ffff:192.0.2.1, RFC 4291 2.5.5.2) the IPv4 address."""
    if ":" not in address:
        return address
    try:
        mapped = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(getattr(mapped, "ipv4_mapped", None) or address)


def _for(entry: str) -> str:
    found = FOR.search(entry)
    return "" if found is None else found[1] or found[2] or ""


def _address(entry: str) -> str | None:
    """Return the address of an entry without port and brackets, or None if it has none (`unknown`, `_hidden`)."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif found := IPV4_WITH_PORT.fullmatch(entry):
        entry = found[1]
    try:
        return unmapped(str(ip_address(entry)))
    except ValueError:
        return None
