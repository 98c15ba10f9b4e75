"""Requests to addresses that people name go to public addresses over https, and nowhere else, whatever is tried (SSRF)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.outbound.answers import NoAnswerError
from adapters.outbound.connections import ANSWER_BYTES_MAX
from adapters.outbound.public_addresses import Reachable
from adapters.outbound.requests import OutboundRequests
from domain.errors import EndpointRefusedError
from tests.channels.push_service import LOOPBACK, Answering, push_service
from tests.deployments import VAPID

NOT_PUBLIC = (
    # this host, private, shared, loopback, link-local, and where clouds answer their guests
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.1.2.3",
    "169.254.169.254", "169.254.1.1", "172.16.0.1", "172.31.255.254", "192.168.0.1", "168.63.129.16", "192.0.0.8", "192.0.0.192",
    # documentation, tests, relays, multicast, reserved, everybody
    "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    # IPv6: unspecified, loopback, link-local (with and without its zone), site-local, unique local, multicast, discard
    "::", "::1", "fe80::1", "fe80::1%lo", "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "100::1",
    # IPv6 that carries IPv4: mapped, compatible, translated, NAT64 (both), 6to4, Teredo, ISATAP
    "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:8.8.8.8", "::127.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::1", "2002:a00:1::", "2002:808:808::1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fe80::5efe:10.0.0.1",
    # IPv6 for documentation, benchmarks, ORCHID, segment routing
    "2001:db8::1", "3fff::1", "2001:2::1", "2001:10::1", "2001:20::1", "5f00::1", "4000::1",
)  # fmt: skip
PUBLIC = ("8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:2800:220:1::1", "2a00:1450:4001:80b::200e")
# What an address may be written as, and what else a URL may hold. All of it is refused before anything is resolved.
NOT_SENT_TO = (
    "http://push.example.org/x", "HTTP://push.example.org/x", "ftp://push.example.org/x", "file:///etc/passwd", "gopher://h.example.org/",
    "//push.example.org/x", "push.example.org", "", "https://", "https:///x", "https:/push.example.org", "https:push.example.org",
    # loopback in other spellings: one number, octal, hexadecimal, parts left out, mixed, with dots
    "https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.1/",
    "https://127.0.1/", "https://0/", "https://00000000177.0.0.1/", "https://127.0.0.1./", "https://0x7F.1/", "https://127.0.0.0x1/",
    "https://1.1.1.256/", "https://4294967297/", "https://foo.0x1/", "https://foo.1/",
    # other digits and dots, percent signs, punycode of nothing, brackets
    "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://%31%32%37.0.0.1/", "https://loc%61lhost/", "https://ⓛocalhost/",
    "https://[::1/", "https://::1/", "https://[127.0.0.1]/", "https://[::1%25lo]/", "https://[v1.x]/", "https://[]/",
    # names that are never public
    "https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://x.localhost/", "https://printer.local/",
    "https://metadata.google.internal/", "https://intranet/", "https://db.lan/", "https://router.home.arpa/", "https://x.onion/",
    # who is asked as, what looks like the host and is not, other ports
    "https://user@push.example.org/", "https://user:pass@push.example.org/", "https://push.example.org@127.0.0.1/",
    "https://push.example.org:443@127.0.0.1/", "https://push.example.org\\@127.0.0.1/", "https://127.0.0.1\\.push.example.org/",
    "https://127.0.0.1#@push.example.org/", "https://push.example.org#x", "https://push.example.org/#x", "https://push.example.org:22/",
    "https://push.example.org:25/", "https://push.example.org:80/", "https://push.example.org:6379/", "https://push.example.org:0/",
    "https://push.example.org:65536/", "https://push.example.org:99999/", "https://push.example.org:/", "https://push.example.org:443:80/",
    # what splits lines, and what is too long
    "https://push.example.org/\r\nX: y", "https://push.example.org/ x", "https://push.example.org/\tx", " https://push.example.org/",
    "https://push.example.org/\x00", "https://push.exa\nmple.org/", "https://push.example.org/ä", "https://-x.example.org/",
    "https://x..example.org/", "https://.example.org/", f"https://{'a' * 64}.example.org/", f"https://push.example.org/{'x' * 2_000}",
    "https://push_1.example.org/", "https://*.example.org/",
)  # fmt: skip


class Names(AbstractResolver):
    """Resolves every name to the next addresses of a list; the last ones for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0, flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]  # fmt: skip

    async def close(self) -> None: ...


@asynccontextmanager
async def client(
    *answers: Sequence[str], networks: Sequence[str] = (), **options: Any
) -> AsyncIterator[OutboundRequests]:
    """A client whose names resolve to these addresses."""
    made = OutboundRequests.open(Reachable([ip_network(n) for n in networks]), resolver=Names(*answers), **options)
    yield made
    await made.close()


@asynccontextmanager
async def counted() -> AsyncIterator[tuple[int, list[int]]]:
    """A port of loopback, and the connections that it was sent."""
    met: list[int] = []

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(1)
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], met
    server.close()
    await server.wait_closed()


def test_there_are_as_many_vectors_as_were_asked_for() -> None:
    assert len(set(NOT_PUBLIC)) == len(NOT_PUBLIC) >= 50 and len(set(NOT_SENT_TO)) == len(NOT_SENT_TO) >= 60


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_no_name_that_resolves_to_it_is_connected_to(address: str) -> None:
    assert not Reachable().is_reachable(address, 443)
    async with client([address]) as requests:
        with pytest.raises(EndpointRefusedError):
            await requests.post("https://push.example.org/x", b"x", {})


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_it_is_not_sent_to_by_its_number_either(address: str) -> None:
    async with client(["8.8.8.8"]) as requests:
        with pytest.raises(EndpointRefusedError):
            await requests.post(f"https://{f'[{address}]' if ':' in address else address}/x", b"x", {})


@pytest.mark.parametrize("url", NOT_SENT_TO)
async def test_what_is_no_plain_https_address_is_refused_before_anybody_is_asked(url: str) -> None:
    names = Names(["8.8.8.8"])
    requests = OutboundRequests.open(Reachable(), resolver=names)
    with pytest.raises(EndpointRefusedError):
        await requests.post(url, b"x", {})
    assert names.asked == 0
    await requests.close()


def test_public_addresses_and_names_pass() -> None:
    for address in PUBLIC:
        assert Reachable().is_reachable(address, 443) and not Reachable().is_reachable(address, 6379), address
    for url in (
        "https://fcm.googleapis.com/fcm/send/dQw4w9WgXcQ:APA91b_x-y", "https://updates.push.services.mozilla.com/wpush/v2/gAAAA=",
        "https://web.push.apple.com/QGuQyavXutnMH", "https://wns2-par02p.notify.windows.com/w/?token=BQYAAA%2bx", "https://8.8.8.8/x",
        "https://ntfy.example.org:8443/upDXXXX?up=1", "https://xn--bcher-kva.example/x", "https://[2606:2800:220:1::1]/x",
    ):  # fmt: skip
        assert Reachable().require_url(url).scheme == "https"


async def test_a_name_is_judged_by_the_address_that_is_connected_to_and_each_time_anew() -> None:
    """Rebinding: whatever it resolved to before, and whatever else it resolves to."""
    async with counted() as (port, met):
        url = f"https://push.example.org:{port}/x"
        async with client(["127.0.0.1"], ["127.0.0.2"], networks=["127.0.0.1/32"]) as requests:
            with pytest.raises(NoAnswerError):  # it is connected to, and speaks no TLS
                await requests.post(url, b"x", {})
            assert len(met) == 1
            with pytest.raises(EndpointRefusedError):
                await requests.post(url, b"x", {})
        async with client(["10.0.0.1", "127.0.0.1", "169.254.169.254"], networks=["192.0.2.0/24"]) as requests:
            with pytest.raises(EndpointRefusedError):
                await requests.post(url, b"x", {})
        assert len(met) == 1


async def test_only_the_operators_networks_are_reached_beside_public_ones() -> None:
    inside = Reachable([ip_network("10.1.2.0/24"), ip_network("fd00:1::/64")])
    for address, is_reached in (
        ("10.1.2.3", True), ("10.1.3.3", False), ("fd00:1::5", True), ("fd00:2::5", False), ("::ffff:10.1.2.3", False), ("8.8.8.8", False),
    ):  # fmt: skip
        assert inside.is_reachable(address, 8080) is is_reached, address
    assert inside.require_url("https://ntfy:8080/x").port == 8080
    for url in ("http://ntfy/x", "https://10.1.3.3/x", "https://127.1/x", "https://a@ntfy/x"):
        with pytest.raises(EndpointRefusedError):
            inside.require_url(url)


async def test_redirects_are_not_followed_proxies_not_used_and_answers_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with push_service(VAPID.public_key) as service, counted() as (port, met):
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        requests, url = service.client(), service.device().endpoint
        for status in (301, 302, 303, 307, 308):
            service.answers = [Answering(status, {"Location": f"{service.base}/push/elsewhere", "Set-Cookie": "a=b"})]
            service.requests = 0
            service.faults.clear()
            assert (await requests.post(url, b"x", {})).status in (status, 400)
            assert service.requests == 1, "and nobody else was asked"
        service.answers = [Answering(how="flood")]
        answer = await requests.post(url, b"x", {})
        assert answer.status == 201 and 0 < len(answer.body) <= ANSWER_BYTES_MAX
        service.answers = [Answering(how="cut")]
        with pytest.raises(NoAnswerError):
            await requests.post(url, b"x", {})
        await requests.close()
        assert not met, "a proxy of the environment"
        hasty = service.client(seconds=0.3)
        service.answers = [Answering(how="hang")]
        with pytest.raises(NoAnswerError):
            await hasty.post(url, b"x", {})
        await hasty.close()


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted() -> None:
    async with push_service(VAPID.public_key) as service:
        requests = OutboundRequests.open(Reachable([ip_network(LOOPBACK)]))
        with pytest.raises(NoAnswerError):
            await requests.post(service.device().endpoint, b"x", {})
        await requests.close()
        assert service.requests == 0
