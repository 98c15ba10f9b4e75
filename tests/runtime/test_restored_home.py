"""A home that is backed up while people write, and restored into another: log-ins, messages and files are served as they were, and
whoever comes with a position of the former record is told so. Its notary, and whoever verifies, are told too."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.deployments import PASSWORD, until
from tests.ports import free_port
from tests.runtime.test_notary import person, signed
from tests.runtime.test_up import System, system

LOGIN = {"email": "ada@example.com", "password": PASSWORD}


async def keep_sending(http: httpx.AsyncClient, room: str, said: list[dict[str, Any]], stop: asyncio.Event) -> None:
    """Send one message after the other, and keep what was acknowledged."""
    while not stop.is_set():
        answer = await http.post(f"/rooms/{room}/messages", json={"content": f"number {len(said)}"})
        if answer.status_code == 201:
            said.append(answer.json())


@pytest.mark.timeout(300)  # two whole deployments; half a minute where the machine is calm
async def test_what_was_backed_up_amid_sends_is_served_again_as_another_record(tmp_path: Path) -> None:
    backup, keys = tmp_path / "kept" / "monday", tmp_path / "apart" / "monday"
    async with system(tmp_path) as hansard:
        http = await person(hansard)
        room = (await http.post("/rooms", json={"name": "Lobby"})).json()["id"]
        file = (await http.post("/files/upload", files={"file": ("a.txt", b"kept")})).json()["id"]

        async def is_processed() -> bool:
            return bool((await http.get(f"/files/{file}")).json()["status"] == "completed")

        await until(is_processed, seconds=60)
        said: list[dict[str, Any]] = []
        stop = asyncio.Event()
        sending = asyncio.create_task(keep_sending(http, room, said, stop))

        async def some_were_said() -> bool:
            return len(said) > 20 and await signed(http) > 5

        await until(some_were_said, seconds=60)
        before = len(said)
        code, told = await hansard.run("backup", str(backup), "--keys", str(keys))
        assert code == 0, told
        stop.set()
        await sending
        record = (await http.get("/meta")).json()["record"]
        vkey = (hansard.home / "notary" / "notary.vkey").read_text()
        master = (hansard.home / "master.key").read_text()
        await http.aclose()
    manifest = json.loads((backup / "manifest.json").read_text())
    kept = [message for message in said if message["position"] <= manifest["position"]]
    assert before <= len(kept) < len(said) and manifest["record"] == record and manifest["blobs"]["count"] >= 1
    assert not [path for place in (backup, keys) for path in place.rglob("*.key")]

    restored = System(tmp_path / "other home", free_port())
    restored.home.mkdir(mode=0o700)
    (restored.home / "master.key").write_text(master)
    (restored.home / "master.key").chmod(0o600)
    code, told = await restored.run("restore", str(backup), "--keys", str(keys), "--key", vkey.strip())
    assert code == 0 and "whose signature is good" in told, told
    try:
        await restored.start()
        await serves(restored, record, room, file, kept, said[-1]["position"])
        # Whoever has the former key sees that it is another record, and that nothing of the former one was altered.
        code, told = await restored.run("verify", "--json", "--key", vkey.strip())
        found = json.loads(told)
        assert (code, [each["kind"] for each in found["findings"]]) == (1, ["replaced"]), told
    finally:
        await restored.stop()


async def serves(restored: System, record: str, room: str, file: str, kept: list[dict[str, Any]], beyond: int) -> None:
    """Hold what a restored home serves against what was acknowledged before."""
    async with httpx.AsyncClient(base_url=f"{restored.base}/api/v1", timeout=30) as http:
        entered = await http.post("/auth/login", json=LOGIN)
        assert entered.status_code == 200, entered.text
        token = entered.json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        assert (await http.get("/meta")).json()["record"] != record
        newest = (await http.get(f"/rooms/{room}/messages", params={"limit": 200})).json()["items"]
        expected = [(each["id"], each["content"], each["position"]) for each in reversed(kept)][:200]
        assert [(each["id"], each["content"], each["position"]) for each in newest][: len(expected)] == expected
        assert (await http.get(f"/files/{file}/content")).content == b"kept"
        answer = await http.get("/rooms", headers={"Hansard-After": str(beyond + 1000)})
        assert (answer.status_code, answer.json()["code"]) == (409, "record_changed")
        headers = {"Authorization": f"Bearer {token}"}
        async with connect(f"ws://127.0.0.1:{restored.port}/api/v1/ws", additional_headers=headers) as socket:
            hello = json.loads(await socket.recv())
            assert hello["record"] != record
            frame = {"type": "subscribe", "id": 1, "room_id": room, "after": kept[0]["position"], "record": record}
            await socket.send(json.dumps(frame))
            told = [json.loads(await socket.recv()) for _ in range(2)]
            assert {"type": "reset", "room_id": room, "reason": "record_changed"} in told
        sent = await http.post(f"/rooms/{room}/messages", json={"content": "on"})
        assert sent.status_code == 201

        async def is_signed() -> bool:
            return await signed(http) >= int(sent.json()["position"])

        await until(is_signed, seconds=60)
    code, verdict = await restored.run("verify")
    assert (code, verdict.startswith("whole: all ")) == (0, True), verdict
