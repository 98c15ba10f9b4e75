"""Attacks on how requests are read: hosts, and requests whose end can be told in two ways."""

from tests.attack.scene import Attack, Found, Scene
from tests.attack.wires import API, Wire
from tests.gateway.test_exposure import AMBIGUOUS, CHUNKED, SMUGGLED

HEARD_SECONDS = 1.0
GET = b"GET /livez HTTP/1.1\r\n"
LOGIN = f"POST {API}/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
CHUNKS = LOGIN + b"Transfer-Encoding: chunked\r\n\r\n"
# Requests without the one Host that RFC 9112 3.2 asks for.
HOSTS = {
    "none": GET + b"\r\n",
    "two": GET + b"Host: a\r\nHost: b\r\n\r\n",
    "the same twice": GET + b"Host: a\r\nHost: a\r\n\r\n",
    "with a space": GET + b"Host: a b\r\n\r\n",
    "a user in it": GET + b"Host: a@b\r\n\r\n",
    "a path in it": GET + b"Host: a/b\r\n\r\n",
}
# Whole messages whose end is told in two ways, beyond those that the tests of the gateway try.
BODIES = {
    "a line that goes on": LOGIN + b"X: y\r\n Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "bare line feeds": LOGIN + b"Content-Length: 5\nTransfer-Encoding: chunked\n\n" + CHUNKED,
    "a bare carriage return": LOGIN + b"X: y\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + CHUNKED,
    "a space before the name": LOGIN + b" Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a length that is signed": LOGIN + b"Content-Length: -5\r\n\r\n" + CHUNKED,
    "a length in hex": LOGIN + b"Content-Length: 0x5\r\n\r\n" + CHUNKED,
    "a length with an underscore": LOGIN + b"Content-Length: 0_5\r\n\r\n" + CHUNKED,
    "a length of 2^64 + 5": LOGIN + b"Content-Length: 18446744073709551621\r\n\r\n" + CHUNKED,
    "HTTP/1.0 in chunks": LOGIN.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a chunk's size that is signed": CHUNKS + b"+0\r\n\r\n",
    "a chunk's size with 0x": CHUNKS + b"0x0\r\n\r\n",
    "a chunk's size with an underscore": CHUNKS + b"0_0\r\n\r\n",
    "a chunk's size of 2^64": CHUNKS + b"10000000000000000\r\n\r\n0\r\n\r\n",
    "a chunk that ends with a line feed": CHUNKS + b"0\n\n",
    "a chunk without its end": CHUNKS + b"2\r\n{}0\r\n\r\n",
    "an extension with a line feed": CHUNKS + b"0;x=\ny\r\n\r\n",
}


async def _told(scene: Scene, message: bytes) -> bytes:
    """Write a message and end; answers everything that comes back."""
    wire = await Wire.open(scene.port, scene.fresh_address())
    if await wire.write(message) and wire.writer.can_write_eof():
        wire.writer.write_eof()
    told = await wire.everything(HEARD_SECONDS)
    wire.close()
    return told


async def hosts(scene: Scene) -> Found:
    """A request names one host, and is answered 400 otherwise (RFC 9112 3.2; issue 9, 15)."""
    scene.began()
    breaches = []
    for name, message in HOSTS.items():
        told = await _told(scene, message)
        if not told.startswith(b"HTTP/1.1 4") and told:
            breaches.append(f"a request with this host: {name}, is answered {told[9:12].decode()}")
    scene.ended()
    return Found(f"{len(HOSTS)} heads", f"{len(HOSTS) - len(breaches)} refused", breaches)


async def smuggling(scene: Scene) -> Found:
    """A request whose end is told in two ways is refused, and what follows on its connection is not read (RFC 9112 6.3)."""
    scene.began()
    messages = BODIES | {headers.decode(): LOGIN + headers + b"\r\n\r\n" + CHUNKED for headers in AMBIGUOUS}
    breaches = []
    for name, message in messages.items():
        told = await _told(scene, message + SMUGGLED)
        if told.count(b"HTTP/1.1 ") > 1:
            breaches.append(f"{name!r} lets a second request in")
    scene.ended()
    return Found(
        f"{len(messages)} messages", f"{len(messages) - len(breaches)} were the last of their connection", breaches
    )


ATTACKS = (Attack("hosts", hosts, is_watched=False), Attack("smuggling", smuggling, is_watched=False))
