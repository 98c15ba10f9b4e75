"""Listeners: an address that cannot be listened on is the fault of a setting, whichever process listens."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.tree_head import VerifierKey
from tests.deployments import as_login
from tests.runtime.test_sentences import alone, with_key

IN_USE = "Address already in use."


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


async def test_a_taken_address_is_one_sentence_and_the_code_of_a_setting(
    tmp_path: Path, database_url: str, redis_url: str, taken: int
) -> None:
    """A supervisor that starts such a process again and again gains nothing."""
    given = {"HANSARD_REDIS_URL": redis_url, "HANSARD_MASTER_KEY_FILE": str(with_key(tmp_path))}
    metrics = {"HANSARD_METRICS_LISTEN": f"127.0.0.1:{taken}"}
    together = metrics | {"HANSARD_PROJECTOR_URL": as_login(database_url, "projector")}
    said_of_metrics = (
        f"Cannot listen on 127.0.0.1:{taken} for metrics: {IN_USE} Set HANSARD_METRICS_LISTEN to another address."
    )
    witness = ("witness", "--folder", str(tmp_path / "w"), "--name", "w.example/1", "--listen", f"127.0.0.1:{taken}")
    log = str(VerifierKey("log.example", bytes(32)))
    cases: list[tuple[tuple[str, ...], dict[str, str], str]] = [
        *(((kind,), metrics, said_of_metrics) for kind in ("projector", "worker", "notifier", "notary")),
        (("gateway",), together, said_of_metrics),
        (
            ("gateway",),
            {"HANSARD_PORT": str(taken)},
            f"Cannot listen on 127.0.0.1:{taken}: {IN_USE} Set HANSARD_PORT to another one.",
        ),
        (
            (*witness, "--log", log),
            {},
            f"Cannot listen on 127.0.0.1:{taken}: {IN_USE} Name another address with --listen.",
        ),
    ]

    async def ended(command: tuple[str, ...], environment: dict[str, str]) -> tuple[int, list[str]]:
        url = {} if command[0] == "witness" else {"HANSARD_DATABASE_URL": as_login(database_url, command[0])}
        code, said = await alone(tmp_path, **given, **url, **environment).run(*command)
        return code, [line for line in said.splitlines() if "Traceback" in line or line.startswith("hansard:")]

    async with asyncio.timeout(120):
        found = await asyncio.gather(*(ended(command, environment) for command, environment, _ in cases))
    assert found == [(78, [f"hansard: {says}"]) for _, _, says in cases]
