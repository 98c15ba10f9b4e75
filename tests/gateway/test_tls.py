"""TLS: what the gateway speaks, what it speaks to nobody, and whom its own clients believe."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from adapters.mail import SmtpMail
from adapters.redis.connections import open_redis
from domain.ports.mail import Mail, MailUnavailableError
from gateway.edge.client_address import Proxies
from gateway.server.connections import ConnectionBounds
from gateway.server.tls import TlsRefusedError, server_context
from tests.certificates import FileSnapshot, made
from tests.deployments import PASSWORD, gateway
from tests.gateway.small_front import to_the_end
from tests.gateway.test_bad_input import assert_problem

LOOPBACK = Proxies((ip_network("127.0.0.0/8"),))
OLD = ssl.TLSVersion.TLSv1_1


def client(shown: FileSnapshot) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=shown.authority)


async def shaken(port: int, context: ssl.SSLContext) -> tuple[str | None, str]:
    """Shake hands; answers the version and the cipher that were agreed on."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    spoken: ssl.SSLObject = writer.get_extra_info("ssl_object")
    agreed = spoken.version(), (spoken.cipher() or ("", "", 0))[0]
    writer.close()
    return agreed


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_the_gateway_speaks_new_tls_with_forward_secrecy_and_nothing_else(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    shown = made(tmp_path)
    tls = server_context(shown.certificate, shown.key)
    async with gateway(database_url, redis_url, tls=tls, tls_only=True) as hansard:
        assert (await shaken(hansard.port, client(shown)))[0] == "TLSv1.3", "the newest is preferred"
        older = client(shown)
        older.maximum_version = ssl.TLSVersion.TLSv1_2
        version, cipher = await shaken(hansard.port, older)
        assert version == "TLSv1.2" and cipher.startswith("ECDHE-") and ("GCM" in cipher or "CHACHA20" in cipher)
        for ciphers in ("AES128-SHA:@SECLEVEL=0", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", "AES128-GCM-SHA256"):
            older.set_ciphers(ciphers)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await shaken(hansard.port, older)
        oldest = client(shown)
        oldest.set_ciphers("ALL:@SECLEVEL=0")
        oldest.minimum_version, oldest.maximum_version = ssl.TLSVersion.TLSv1, OLD
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shaken(hansard.port, oldest)
        # Over it, everything is as it was; in plain there is nobody.
        async with httpx.AsyncClient(verify=client(shown), base_url=f"https://127.0.0.1:{hansard.port}/api/v1") as http:
            body = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
            assert (await http.post("/auth/register", json=body)).status_code == 201
            token = (await http.post("/auth/login", json={name: body[name] for name in ("email", "password")})).json()[
                "access_token"
            ]
            answer = await http.get("/users/me", headers={"Authorization": f"Bearer {token}"})
            assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        url, headers = f"wss://127.0.0.1:{hansard.port}/api/v1/ws", {"Authorization": f"Bearer {token}"}
        async with connect(url, ssl=client(shown), additional_headers=headers) as talk:
            assert '"hello"' in str(await talk.recv())
        async with httpx.AsyncClient() as http:
            with pytest.raises(httpx.TransportError):
                await http.get(f"http://127.0.0.1:{hansard.port}/livez")


async def test_who_never_begins_the_handshake_counts_and_is_let_go(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    shown = made(tmp_path)
    tls = server_context(shown.certificate, shown.key)
    bounds = ConnectionBounds(head_seconds=1, of_address=1)
    async with gateway(database_url, redis_url, tls=tls, bounds=bounds) as hansard, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", hansard.port)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shaken(hansard.port, client(shown))
        assert await to_the_end(reader) == b""
        writer.close()
        assert (await shaken(hansard.port, client(shown)))[0] == "TLSv1.3", "its place is free again"


async def test_what_comes_in_plain_is_refused_and_sent_nowhere(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url, tls_only=True, proxies=LOOPBACK) as hansard, hansard.client() as http:
        body = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
        for said in ({}, {"X-Forwarded-Proto": "http"}, {"X-Forwarded-Proto": "https, http"}):
            for method, path in (("GET", "/meta"), ("GET", "/users/me"), ("POST", "/auth/register")):
                answer = await http.request(method, path, json=body if method == "POST" else None, headers=said)
                assert_problem(answer, 403, "transport.plain")
                assert "location" not in answer.headers
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"ws://127.0.0.1:{hansard.port}/api/v1/ws", additional_headers=said):
                    pass
            assert refused.value.response.status_code == 403
        assert (await http.get(f"{hansard.base}/livez")).status_code == 200, "machines ask that from beside it"
        secure = {"X-Forwarded-Proto": "https"}
        answer = await http.post("/auth/register", json=body, headers=secure)
        assert answer.status_code == 201 and "strict-transport-security" in answer.headers
        for headers in (secure, secure | {"Origin": "https://evil.example"}):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(
                    f"ws://127.0.0.1:{hansard.port}/api/v1/ws",
                    additional_headers=headers | {"Authorization": "Bearer x"},
                ):
                    pass
            assert "strict-transport-security" in refused.value.response.headers
    async with gateway(database_url, redis_url, tls_only=True) as hansard, hansard.client() as http:
        assert_problem(await http.get("/meta", headers=secure), 403, "transport.plain")


@pytest.mark.parametrize(
    "names", [("server.pem", "nothing"), ("nothing", "server.key"), ("authority.pem", "server.key")]
)
def test_what_cannot_be_shown_is_told_in_a_sentence(tmp_path: Path, names: tuple[str, str]) -> None:
    made(tmp_path)
    with pytest.raises(TlsRefusedError, match=r"HANSARD_TLS_CERTIFICATE .* cannot be used"):
        server_context(tmp_path / names[0], tmp_path / names[1])


@asynccontextmanager
async def impostor(folder: Path) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server with a certificate that nobody vouches for; the list is what it was told."""
    shown, told = made(folder, self_signed=True), list[bytes]()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")  # as a mail server begins
        told.append(await reader.read(1_000))
        writer.close()

    server = await asyncio.start_server(
        listen, "127.0.0.1", 0, family=socket.AF_INET, ssl=server_context(shown.certificate, shown.key)
    )
    async with server:
        yield server.sockets[0].getsockname()[1], told


async def test_the_house_talks_to_no_server_that_cannot_show_who_it_is(tmp_path: Path) -> None:
    async with impostor(tmp_path) as (port, told):
        with pytest.raises(MailUnavailableError):
            await SmtpMail(f"smtps://ada:secret@127.0.0.1:{port}", sender="h@example.com").send(Mail("a@b.c", "x", "y"))
        redis = open_redis(f"rediss://:secret@127.0.0.1:{port}", seconds=5.0)
        with pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            await redis.ping()
        await redis.aclose()
    assert not any(told), "not a byte of what is meant for the right one"
