"""Exports by the client library and by `hansard export`: asked for, waited for, and fetched in pieces."""

import asyncio
import os
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hansard_client import Client, exports

from tests.deployments import PASSWORD, running
from tests.exports.deployments import exporting


async def test_the_client_library_and_the_command_line_fetch_a_package(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with exporting(database_url, redis_url) as scene:
        ada = await scene.hansard.person("ada")
        await ada.say(await ada.room(), "hello")
        monkeypatch.setattr(exports, "PIECE_BYTES", 1000)
        target = tmp_path / "package.zip"
        words = [
            "--email",
            scene.auditor.email,
            "--url",
            scene.hansard.base,
            "--reason",
            "matter 17",
            "--formats",
            "jsonl",
            "csv",
        ]
        async with running(scene.worker.run()):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "runtime.cli", "export", str(target), *words), env=os.environ | {"HANSARD_PASSWORD": PASSWORD},
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            said, _ = await process.communicate()
            assert process.returncode == 0 and b"1 messages" in said
            async with Client(scene.hansard.base) as client:
                await client.login(scene.auditor.email, PASSWORD)
                made, *_ = await client.exports(reason="matter 17")
                assert made.formats == ("jsonl", "csv") and made.has_ended
                again = await client.download_export(made.id, tmp_path / "again.zip", reason="matter 17")
                late = await client.request_export(["jsonl"], reason="matter 17", rooms=[ada.id])
                assert (await client.cancel_export(late.id, reason="matter 17")).status in ("cancelled", "completed")
        assert target.read_bytes() == again.read_bytes() and sha256(again.read_bytes()).hexdigest() == made.sha256
