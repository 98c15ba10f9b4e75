"""Quotas: how much of something one person or address may ask for, and the three sets that an operator chooses from.

A quota is a GCRA's: `count` in `seconds` in the long run, and `burst` at once. That of wrong passwords is the same in every
set that has limits at all: it protects an account, whoever asks and however fast the machine is.
"""

from ipaddress import IPv4Address, ip_address, ip_network
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from domain.ids import SessionId, UserId

QuotaSet = Literal["strict", "relaxed", "off"]

NOWHERE = "address unknown"
IPV6_PREFIX_BITS = 64  # what one household or host is given: its addresses are one caller


class Quota(Struct, frozen=True):
    """`cost` is what one request takes of it. It is at most the burst: a request that costs more could never be allowed."""

    name: str
    count: int
    seconds: int
    burst: int
    cost: int = 1

    def at(self, cost: int) -> "Quota":
        """Return this quota with the cost of a request, at most the burst."""
        return replace(self, cost=min(cost, self.burst))

    @property
    def window_seconds(self) -> float:
        """How long an empty quota takes to be full again."""
        return self.burst * self.seconds / self.count


class Quotas(Struct, frozen=True):
    """Every quota of a deployment. None: unlimited. The comments say to whom each belongs."""

    requests: Quota | None  # a person's; without a token an address's
    sends: Quota | None  # a person's messages, by HTTP and sockets together
    uploads: Quota | None  # a person's
    upload_bytes: Quota | None  # a person's; a request costs its bytes
    registrations: Quota | None  # an address's
    logins: Quota | None  # an address's
    connects: Quota | None  # sockets an address opens
    frames: Quota | None  # a socket's, of any kind; more closes it
    pushes: Quota | None  # a person's: devices that are subscribed, and tests of them
    mails: Quota | None  # to one e-mail address, of one kind; as many again from addresses that the account knows
    # An account's: five in half an hour, then one every six minutes; as many again at each address that it knows.
    wrong_passwords: Quota | None


STRICT = Quotas(
    requests=Quota("requests", 50, 1, 200),
    sends=Quota("sends", 20, 1, 100),
    uploads=Quota("uploads", 10, 60, 20),
    upload_bytes=Quota("upload_bytes", 250 * 1024**2, 60, 500 * 1024**2),
    registrations=Quota("registrations", 10, 60, 20),
    logins=Quota("logins", 30, 60, 30),
    connects=Quota("connects", 10, 1, 100),
    frames=Quota("frames", 100, 1, 500),
    pushes=Quota("pushes", 10, 60, 20),
    mails=Quota("mails", 5, 3600, 5),
    wrong_passwords=Quota("wrong_passwords", 5, 1800, 5),
)
OFF = Quotas(**dict.fromkeys(Quotas.__struct_fields__))
RELAXED_TIMES = 10


def _relaxed(strict: Quotas) -> Quotas:
    wider = {
        name: replace(quota, count=quota.count * RELAXED_TIMES, burst=quota.burst * RELAXED_TIMES)
        for name in Quotas.__struct_fields__
        if (quota := getattr(strict, name)) is not None
    }
    return Quotas(**(wider | {"wrong_passwords": strict.wrong_passwords}))


class SocketLimit(Struct, frozen=True):
    """How many sockets a person, and an address, may have at once; 0: any number."""

    of_user: int = 0
    of_address: int = 0


RELAXED = _relaxed(STRICT)
SETS: dict[QuotaSet, Quotas] = {"strict": STRICT, "relaxed": RELAXED, "off": OFF}
SOCKET_LIMITS: dict[QuotaSet, SocketLimit] = {
    "strict": SocketLimit(20, 100),
    "relaxed": SocketLimit(200, 1_000),
    "off": SocketLimit(),
}
CONNECTIONS_OF_ADDRESS: dict[QuotaSet, int] = {
    "strict": 300,
    "relaxed": 3_000,
    "off": 0,
}  # HTTP and sockets; 0: any number


def of_user(user_id: UserId) -> str:
    """Return the name under which a person's quotas are counted."""
    return f"user {user_id}"


def of_session(session_id: SessionId) -> str:
    """Return the name under which the attempts of one session are counted."""
    return f"session {session_id}"


def of_address(address: str | None) -> str:
    """Return the name under which an address's quotas are counted; IPv6 by its /64, mapped IPv4 as what it is."""
    try:
        ip = ip_address((address or "").partition("%")[0])
    except ValueError:
        return NOWHERE
    if not isinstance(ip, IPv4Address):
        if ip.ipv4_mapped is None:
            return f"address {ip_network((ip, IPV6_PREFIX_BITS), strict=False)}"
        ip = ip.ipv4_mapped
    return f"address {ip}"


def of_email(folded: str, kind: str = "") -> str:
    """Return the name under which requests of one kind about an e-mail are counted, whether or not it has an account."""
    return f"email {folded} {kind}".rstrip()


def of_email_at(folded: str, address: str | None) -> str:
    """Return the name under which attempts on an account from an address that it knows are counted."""
    return f"email {folded} from {of_address(address)}"
