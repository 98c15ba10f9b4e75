"""Log lines: whatever is logged, and whoever says it, is one line that a terminal can show."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from runtime.logs import ADDED, UNSAFE, OneLine, harmless
from tests.deployments import gateway, logged

# A line of one's own, a coloured one, one that wipes the screen, one that goes back to the line's beginning, and others.
HOSTILE = [
    "x\nlevel=info event=forged",
    "x\r\nlevel=info event=forged",
    "x\rlevel=info event=forged",
    "x\x1b[31mred\x1b[2J",
    "x\x9b31mred",
    "x\x08\x08\x7f\x00y",
    "x\x85y\u2028y\u2029y",
    "x\u202egnp.exe\u2066y\u200by",
    "x\ud800y",
    'x" event="forged',
    "x\\nforged",
]
LOGGING = """
import logging, structlog, sys
from runtime.logs import configure_logs
from runtime.settings_reader import read
configure_logs(read({"HANSARD_LOG": sys.argv[1]}))
for hostile in eval(sys.stdin.read()):
    structlog.get_logger().warning(hostile, value=hostile, nested={hostile: [hostile]}, raw=hostile.encode("utf-8", "surrogatepass"))
    structlog.contextvars.bind_contextvars(request_id=hostile)
    logging.getLogger("uvicorn.error").warning("it says %s", hostile)
    try:
        raise ValueError(hostile)
    except ValueError:
        structlog.get_logger().exception("ours")
        logging.getLogger("asyncio").exception("a library's")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_whatever_is_logged_is_one_line_each_that_steers_no_terminal(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGGING, form], input=ascii(HOSTILE), capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == ""
    lines = done.stderr.removesuffix("\n").split("\n")
    assert len(lines) == 4 * len(HOSTILE)
    for line in lines:
        assert not UNSAFE.search(line), ascii(line)
        if form == "json":
            assert {"event", "level", "timestamp"} <= json.loads(line).keys()
        else:
            assert line.startswith("timestamp=2") and "Z level=" in line and '" event="forged' not in line


class Repeating:
    """A part of the house that fails, and repeats in what it says all that a stranger sent."""

    said = ""

    def __getattr__(self, name: str) -> Any:
        async def fails(*given: object) -> None:
            raise ValueError("\n".join([self.said, *map(str, given)]))

        return fails


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
async def test_nothing_that_strangers_send_breaks_or_colours_a_line(
    database_url: str, redis_url: str, as_json: bool
) -> None:
    async with gateway(database_url, redis_url) as hansard:
        ada = await hansard.person()
        broken = Repeating()
        app = create_app(replace(hansard.services, command_bus=broken, db=broken))  # type: ignore[arg-type]
        with logged(*ADDED, OneLine(as_json=as_json)) as written:
            for broken.said in HOSTILE:
                await _ask(app, ada.token, broken.said)
        lines = written.getvalue().removesuffix("\n").split("\n")
        assert len(lines) >= len(HOSTILE)
        for line in lines:
            assert line.startswith('{"' if as_json else "timestamp=2"), ascii(line)
            assert "internal error" in line and "ValueError" in line
            assert not UNSAFE.search(line), ascii(line)


async def _ask(app: Any, token: str, hostile: str) -> None:
    """Ask with it in address, query, agent, reason, name and body, of a house that repeats all of it as it fails."""
    encoded = "".join(f"%{byte:02x}" for byte in hostile.encode("utf-8", "surrogatepass"))
    raw = hostile.encode("utf-8", "surrogatepass")
    transport = httpx.ASGITransport(app, client=(hostile, 1))
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"user-agent", raw), (b"x-request-id", raw)]
    headers.append((b"hansard-after", b"0"))  # or reads wait for a projector, which is not there
    async with httpx.AsyncClient(transport=transport, base_url="http://inside/api/v1") as http:
        body = json.dumps({"name": f"a room {hostile}"}).encode()
        typed = [*headers, (b"content-type", b"application/json")]
        answers = [
            await http.post("/rooms", content=body, headers=typed),
            await http.get(f"/rooms?q={encoded}", headers=headers),
            await http.get(f"/users?username=a{encoded}", headers=headers),
            await http.get(f"/{encoded}", headers=headers),
        ]
    for answer in answers:
        assert not UNSAFE.search(answer.headers["x-request-id"])


def test_what_is_harmless_stays_as_it_is() -> None:
    assert harmless("Käthe said “hello” – 漢字 😀") == "Käthe said “hello” – 漢字 😀"
    assert harmless("a\x1b[0mb\r\n") == "a\\u001b[0mb\\u000d\\u000a"
