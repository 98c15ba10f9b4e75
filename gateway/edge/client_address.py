"""The client's address: the peer's, or what proxies that are on the operator's list say of it, and nobody else.

Of the one header that the list's proxies write (RFC 7239 `Forwarded`, or `X-Forwarded-For`) the entries are read from
the right: each was written by the hop before. The first that is not a listed proxy is the client; whatever stands left
of it, the client may have made up.
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
    """The operator's list of proxies that are believed."""

    def __init__(self, trusted: Sequence[Network] = (), header: ForwardedHeader = "x-forwarded-for") -> None:
        self._trusted = tuple(trusted)
        self._header = header.encode()

    def client(self, scope: Any) -> str | None:
        """Return the address from which a request comes; None where the server does not know."""
        peer = scope.get("client")
        address: str | None = unmapped(peer[0]) if peer else None
        if address is None or not self.trusts(address):
            return address
        for said in reversed(self._entries(scope["headers"])):
            found = _address(said)
            if found is None:
                return address  # a proxy hid it, or wrote what nobody can read: then it is the proxy's own doing
            address = found
            if not self.trusts(address):
                break
        return address

    def is_secure(self, scope: Any) -> bool:
        """Whether the client speaks TLS: with this server, or with a listed proxy that says so in `X-Forwarded-Proto`."""
        if scope.get("scheme") in ("https", "wss"):
            return True
        peer = scope.get("client")
        said = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        return bool(said and peer and self.trusts(peer[0])) and said[-1].split(b",")[-1].strip().lower() == b"https"

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
        """Return the header's entries, all of its lines in one list, at most the last `FORWARDED_HOPS_MAX`."""
        lines = [value.decode("latin-1") for name, value in headers if name == self._header]
        entries = ",".join(lines).split(",") if lines else []
        if self._header == b"forwarded":
            entries = [_for(entry) for entry in entries]
        return [entry.strip() for entry in entries][-FORWARDED_HOPS_MAX:]


def unmapped(address: str) -> str:
    """Return an IPv4 address that IPv6 was made to hold (::ffff:192.0.2.1, RFC 4291 2.5.5.2) as itself."""
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


def _address(said: str) -> str | None:
    """Return the address of an entry, its port and brackets cut off; None for what is none (`unknown`, `_hidden`)."""
    if said.startswith("["):
        said = said[1:].partition("]")[0]
    elif found := IPV4_WITH_PORT.fullmatch(said):
        said = found[1]
    try:
        return unmapped(str(ip_address(said)))
    except ValueError:
        return None
