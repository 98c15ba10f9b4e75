"""An erasure in a whole house whose worker, projector (or the gateway that does its work) and Postgres are killed with -9 meanwhile, and whose keys are wrapped anew."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.deployments import PASSWORD
from tests.runtime.test_up import System, system

MESSAGES = 400


async def test_it_is_completed_though_processes_are_killed_and_keys_wrapped_anew_meanwhile(tmp_path: Path) -> None:
    async with (
        system(tmp_path) as hansard,
        httpx.AsyncClient(base_url=hansard.base + "/api/v1", timeout=30) as http,
    ):
        ada, ben = await _arrived(http, "ada"), await _arrived(http, "ben")
        room = (await http.post("/rooms", json={"name": "Lobby"}, headers=ada)).json()["id"]
        joined = await http.post(f"/rooms/{room}/join", headers=ben)
        assert joined.status_code == 200, joined.text
        sends = (
            http.post(f"/rooms/{room}/messages", json={"content": f"{n} words"}, headers=ada) for n in range(MESSAGES)
        )
        assert {answer.status_code for answer in await asyncio.gather(*sends)} == {201}
        asked = await http.request("DELETE", "/users/me", json={"password": PASSWORD}, headers=ada)
        assert asked.status_code == 202, asked.text
        killing = asyncio.create_task(_kill(hansard, "worker", "postgres", "worker", "gateway"))
        code, said = await hansard.run("keys", "rewrap")
        while code != 0:
            code, said = await hansard.run("keys", "rewrap")
        assert "are wrapped by the wrapping key" in said
        await killing
        seen: dict[str, Any] = {"status": ""}
        async with asyncio.timeout(90):
            while seen["status"] != "completed":
                with suppress(httpx.HTTPError):
                    answer = await http.get(f"/erasures/{asked.json()['erasure_id']}")
                    seen = answer.json() if answer.status_code == 200 else seen
        assert seen["certificate"]["messages"] == MESSAGES
        code, said = await hansard.run("keys", "master", "rotate")
        assert code == 0 and "Claims are as they were" in said, said
        page = (await http.get(f"/rooms/{room}/messages?limit=200", headers=ben)).json()
        assert {each["content"] for each in page["items"] if each["sender_id"]} == {""}
        again = await http.post("/auth/login", json={"email": "ben@example.com", "password": PASSWORD})
        assert again.status_code == 200, "claims survive a new master key"
        code, said = await hansard.run("account", "erase", "ben@example.com")
        assert code == 0 and "The erasure of ben@example.com is requested: GET /api/v1/erasures/" in said, said
        code, said = await hansard.run("verify")
        assert code == 0, said


async def _arrived(http: httpx.AsyncClient, name: str) -> dict[str, str]:
    """Register and log in somebody; answers their header."""
    person = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
    assert (await http.post("/auth/register", json=person)).status_code == 201
    login = await http.post("/auth/login", json={"email": person["email"], "password": PASSWORD})
    return {"Authorization": f"Bearer {login.json()['access_token']}"}


async def _kill(hansard: System, *victims: str) -> None:
    """Kill each victim once it is there."""
    for victim in victims:
        async with asyncio.timeout(60):
            while True:
                with suppress(LookupError, psutil.NoSuchProcess):
                    hansard.child(victim).kill()
                    break
                await asyncio.sleep(0.05)
