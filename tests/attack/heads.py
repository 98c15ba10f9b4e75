"""Attacks by requests that have no end, or too much of everything before it."""

import itertools
from collections.abc import Iterator

from tests.attack.scene import Attack, Found, Scene, Tally
from tests.attack.wires import API, SILENT, Answer, Wire, request

ENDLESS_BYTES_A_SECOND = 8_000_000
PIECE_BYTES = 40_000
HEADS_BYTES = 24 * 1024**2
CHUNKED_BYTES_MAX = 3 * 1024**2  # 256 KiB in chunks of one byte are 1.5 MiB
HEAD_BYTES_MAX = 1024**2  # nobody's bound is above it; the issue asks for 32 KiB
LOGIN = f"POST {API}/auth/login HTTP/1.1\r\nHost: attack\r\nContent-Type: application/json\r\n"


async def _pour(
    scene: Scene, first: bytes, pieces: Iterator[bytes], last: bytes = b"", *, bytes_max: int = HEAD_BYTES_MAX
) -> Found:
    """Write one request as long as the server takes it, and see how it is answered."""
    wire = await scene.wire()
    scene.began()
    written = len(first)
    is_taken = await wire.write(first)
    async for _ in scene.steps(ENDLESS_BYTES_A_SECOND / PIECE_BYTES):
        piece = next(pieces, b"")
        if not piece or not is_taken:
            break
        is_taken = await wire.write(piece)
        written += len(piece) * is_taken
        if len(wire.reader._buffer):  # type: ignore[attr-defined]  # answered: what follows is nobody's any more
            break
    if is_taken and last:
        await wire.write(last)
    scene.ended()
    answer = await wire.answer(3.0)
    is_closed = wire.is_closed or await wire.ends(1.0)
    wire.close()
    return _judged(written, answer, is_closed, bytes_max)


def _judged(written: int, answer: Answer, is_closed: bool, bytes_max: int) -> Found:
    breaches = []
    if written > bytes_max:
        breaches.append(f"{written / 1e6:.1f} MB were taken before the request was refused")
    if answer.status == SILENT and not is_closed:
        breaches.append("it is neither answered nor closed")
    if 200 <= answer.status < 400 or answer.status >= 500:
        breaches.append(f"it is answered {answer.status}")
    answered = f"{Tally.of([answer])}{', then closed' if is_closed and answer.status > 0 else ''}"
    return Found(f"{written / 1e6:.1f} MB", answered, breaches)


async def big_heads(scene: Scene) -> Found:
    """Headers have a bound: 24 MB of them on one connection are refused at the first 32 KiB or so (issue 9, 2)."""
    lines = b"".join(b"X-%d: %s\r\n" % (n, b"v" * 4_000) for n in range(PIECE_BYTES // 4_000))
    pieces = itertools.repeat(lines, HEADS_BYTES // len(lines))
    return await _pour(scene, b"GET /livez HTTP/1.1\r\nHost: attack\r\n", pieces, b"\r\n")


async def endless_header(scene: Scene) -> Found:
    """A header has an end."""
    return await _pour(scene, b"GET /livez HTTP/1.1\r\nHost: attack\r\nX: ", itertools.repeat(b"v" * PIECE_BYTES))


async def endless_name(scene: Scene) -> Found:
    """The name of a header has one, too."""
    return await _pour(scene, b"GET /livez HTTP/1.1\r\nHost: attack\r\nX", itertools.repeat(b"x" * PIECE_BYTES))


async def endless_url(scene: Scene) -> Found:
    """A URL has an end."""
    return await _pour(scene, b"GET /livez?x=", itertools.repeat(b"y" * PIECE_BYTES))


async def many_headers(scene: Scene) -> Found:
    """Ten thousand headers of a few bytes are too many."""
    lines = b"".join(b"X%d: y\r\n" % n for n in range(10_000))
    return await _pour(scene, b"GET /livez HTTP/1.1\r\nHost: attack\r\n", iter([lines]), b"\r\n")


async def upgrade_heads(scene: Scene) -> Found:
    """A handshake's head has the bounds of any other."""
    first = f"GET {API}/ws HTTP/1.1\r\nHost: attack\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: ".encode()
    return await _pour(scene, first, itertools.repeat(b"v" * PIECE_BYTES))


async def chunk_extension(scene: Scene) -> Found:
    """A chunk's extension has an end."""
    return await _pour(
        scene, f"{LOGIN}Transfer-Encoding: chunked\r\n\r\n1;x=".encode(), itertools.repeat(b"y" * PIECE_BYTES)
    )


async def trailers(scene: Scene) -> Found:
    """Trailers have the bound of headers."""
    lines = b"".join(b"T%d: %s\r\n" % (n, b"v" * 100) for n in range(PIECE_BYTES // 110))
    return await _pour(
        scene, f"{LOGIN}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n".encode(), itertools.repeat(lines)
    )


async def tiny_chunks(scene: Scene) -> Found:
    """A body in chunks of one byte costs what its bytes cost."""
    return await _pour(
        scene,
        f"{LOGIN}Transfer-Encoding: chunked\r\n\r\n".encode(),
        itertools.repeat(b"1\r\n \r\n" * 6_000),
        bytes_max=CHUNKED_BYTES_MAX,
    )


async def _repeated(scene: Scene, asked: bytes, a_second: float) -> Found:
    """Ask the same on one connection, and on the next where it is closed."""
    tally, wire = Tally(), await scene.wire()
    scene.began()
    async for _ in scene.steps(a_second):
        if wire.is_closed:
            wire.close()
            wire = await scene.wire()
        tally.add(await wire.answer() if await wire.write(asked) else 0)
    scene.ended()
    wire.close()
    return Found(f"{tally.counts.total()} requests, {a_second:.0f}/s", str(tally))


async def query_parameters(scene: Scene) -> Found:
    """A query of ten thousand parameters is refused, and costs nobody else anything."""
    query = "&".join(f"p{n}=1" for n in range(10_000))
    return await _repeated(scene, request("GET", f"{API}/rooms?{query}", token="x"), 20)


async def cookies(scene: Scene) -> Found:
    """Nor does a cookie of 30,000 bytes, which nobody here reads."""
    return await _repeated(scene, request("GET", f"{API}/meta", Cookie="a=b; " * 6_000), 40)


async def pipelining(scene: Scene) -> Found:
    """Twenty thousand requests a second on one connection, for what has no limit, are answered one after another."""
    wire: Wire = await scene.wire()
    piece = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 200
    scene.began()
    written = 0
    async for _ in scene.steps(100):
        if await wire.write(piece, 0.2):
            written += 200
        elif wire.is_closed:
            wire.close()
            wire = await scene.wire()
        while len(wire.reader._buffer) and await wire.read(0.01):  # type: ignore[attr-defined]
            pass
    scene.ended()
    wire.close()
    return Found(f"{written:,} requests", f"{wire.bytes_read / 1e6:.1f} MB came back")


ATTACKS = (
    Attack("big-heads", big_heads),
    Attack("endless-header", endless_header),
    Attack("endless-name", endless_name),
    Attack("endless-url", endless_url),
    Attack("many-headers", many_headers),
    Attack("upgrade-heads", upgrade_heads),
    Attack("chunk-extension", chunk_extension),
    Attack("trailers", trailers),
    Attack("tiny-chunks", tiny_chunks),
    Attack("query-parameters", query_parameters),
    Attack("cookies", cookies),
    Attack("pipelining", pipelining),
)
