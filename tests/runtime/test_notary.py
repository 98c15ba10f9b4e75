"""The notary as its operator meets it: part of `hansard up`, killed, turned back, accepted, and `hansard verify` beside it."""

import asyncio
import json
import re
import sys
import time
from pathlib import Path

import asyncpg
import hansard_verify
import httpx

from adapters.notary.cosigner import Cosigner
from adapters.notary.key import make_notary_secret
from adapters.notary.memory import WitnessFolder, write_whole
from runtime.embedded.location import locate
from tests.deployments import PASSWORD, until
from tests.ports import free_port
from tests.runtime.test_up import System, system

TAMPER = "SET session_replication_role = replica"


async def person(hansard: System) -> httpx.AsyncClient:
    """Register and log in somebody."""
    http = httpx.AsyncClient(base_url=f"{hansard.base}/api/v1", timeout=30)
    body = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
    made = await http.post("/auth/register", json=body)
    assert made.status_code == 201, made.text
    entered = await http.post("/auth/login", json={"email": body["email"], "password": PASSWORD})
    assert entered.status_code == 200, entered.text
    tokens = entered.json()
    http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    return http


async def signed(http: httpx.AsyncClient) -> int:
    """Return the size of the newest tree that is told."""
    try:
        answer = await http.get("/audit/checkpoint")
    except httpx.TransportError:  # every process begins anew where the record has another id
        return 0
    return int(answer.text.split("\n")[1]) if answer.status_code == 200 else 0


async def test_it_signs_beside_everything_else_and_whoever_verifies_sees_what_was_done(tmp_path: Path) -> None:
    async with system(tmp_path, HANSARD_WITNESS_FOLDER=str(tmp_path / "witness")) as hansard:
        http = await person(hansard)
        room = (await http.post("/rooms", json={"name": "Lobby"})).json()["id"]
        began = time.monotonic()
        posted = (await http.post(f"/rooms/{room}/messages", json={"content": "Hello"})).json()

        async def is_signed() -> bool:
            return await signed(http) >= int(posted["position"])

        await until(is_signed, seconds=30)
        print(f"signed after {time.monotonic() - began:.2f} s")
        key = (hansard.home / "notary/notary.vkey").read_text().strip()
        receipt = await http.get(f"/messages/{posted['id']}/proof", headers={"Hansard-After": str(posted["position"])})
        assert f"Position {posted['position']} of" in hansard_verify.verify_proof(
            receipt.text, hansard_verify.read_key(key)
        )
        for secret in ("notary/notary.key", "master.key"):
            assert (hansard.home / secret).stat().st_mode & 0o777 == 0o600
        # Without a notary everything is written, and it catches up when it is back.
        hansard.child("notary").kill()
        later = await http.post(f"/rooms/{room}/messages", json={"content": "on"})
        assert later.status_code == 201
        posted = later.json()
        await until(is_signed, seconds=60)
        code, said = await hansard.run("verify")
        assert (code, said.startswith("whole: all ")) == (0, True), said
        [*_, (_, note)] = WitnessFolder(tmp_path / "witness").notes(key.partition("+")[0])
        assert note.startswith(key.partition("+")[0])
        code, said = await hansard.run("verify", "--key", key.replace("+", "+0", 1))
        assert code == 2, said
        # A superuser alters an event that was signed.
        owner = await asyncpg.connect(locate(hansard.home).database_url)
        await owner.execute(TAMPER)
        at = posted["position"] - 1
        await owner.execute(
            "UPDATE record.events SET recorded_at = recorded_at - interval '1 day' WHERE position = $1", at
        )
        code, said = await hansard.run("verify", "--json", "--witness", str(tmp_path / "witness"))
        found = json.loads(said)
        assert (code, found["verdict"]) == (1, "altered")
        assert [(each["kind"], each["position"]) for each in found["findings"]] == [("altered", at)]
        await owner.close()
        await http.aclose()


async def test_a_record_that_was_turned_back_is_not_signed_until_an_operator_accepts_it(tmp_path: Path) -> None:
    async with system(tmp_path) as hansard:
        http = await person(hansard)

        async def is_signed() -> bool:
            return await signed(http) >= 3

        await until(is_signed, seconds=30)
        hansard.child("notary").suspend()
        owner = await asyncpg.connect(locate(hansard.home).database_url)
        await owner.execute("UPDATE record.head SET record = gen_random_uuid()")
        hansard.child("notary").resume()

        async def is_refused() -> bool:
            return "the notary does not sign" in hansard.said

        await until(is_refused, seconds=40)
        code, said = await hansard.run("verify")
        assert (code, "replaced" in said) == (1, True), said
        code, said = await hansard.run("notary", "--accept")
        assert (code, "What was signed last is kept as" in said) == (0, True), said
        assert re.search(r"Its first \d+ events are those that were signed last\.", said), said
        hansard.child("notary").kill()  # it would try again within half a minute
        await until(is_signed, seconds=60)
        assert list((hansard.home / "notary").glob("last-signed.until-*"))
        code, said = await hansard.run("verify")
        assert (code, said.startswith("whole: ")) == (0, True), said
        await owner.close()
        await http.aclose()


async def test_without_its_key_the_notary_stays_away_and_everything_else_serves(tmp_path: Path) -> None:
    async with system(tmp_path) as hansard:
        http = await person(hansard)

        async def is_signed() -> bool:
            return await signed(http) >= 2

        await until(is_signed, seconds=30)
        await hansard.stop()
        (hansard.home / "notary/notary.key").unlink()
        await hansard.start()

        async def is_away() -> bool:
            return "Everything else goes on without it." in hansard.said

        await until(is_away, seconds=30)
        assert "There is no notary's key at" in hansard.said
        assert (await http.post("/rooms", json={"name": "Lobby"})).status_code == 201
        code, said = await hansard.run("verify")
        assert (code, said.startswith("whole: ")) == (0, True), said
        await http.aclose()


async def test_an_operator_rotates_the_key_has_it_witnessed_and_hands_out_what_a_stranger_verifies(
    tmp_path: Path,
) -> None:
    """`hansard witness` beside `hansard up`; then `notary --rotate`, `prove`, `package` and `verify FILE`."""
    port = free_port()
    folder, name = tmp_path / "w", "witness.example.com/1"
    secret = make_notary_secret(folder / "witness.key")
    witness = Cosigner(secret, name).verifier
    write_whole(folder / "witness.vkey", f"{witness}\n")
    witnesses = f"{witness} http://127.0.0.1:{port},{tmp_path / 'kept'}"
    async with system(
        tmp_path, HANSARD_WITNESSES=witnesses, HANSARD_WITNESS_QUORUM="2", HANSARD_WITNESS_SECONDS="1"
    ) as hansard:
        http = await person(hansard)
        room = (await http.post("/rooms", json={"name": "Lobby"})).json()["id"]
        posted = (await http.post(f"/rooms/{room}/messages", json={"content": "Hello"})).json()

        async def is_signed() -> bool:
            return await signed(http) >= int(posted["position"])

        await until(is_signed, seconds=30)
        first = (hansard.home / "notary/notary.vkey").read_text().strip()
        cosigning = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runtime.cli", "witness", "--folder", folder, "--listen", f"127.0.0.1:{port}"),
            *("--log", first),
        )
        try:

            async def is_witnessed() -> bool:
                answer = await http.get("/audit/checkpoint", params={"witnessed": True})
                return answer.status_code == 200 and int(answer.text.split("\n")[1]) >= posted["position"]

            await until(is_witnessed, seconds=60)
            # A rotation; the witness's operator has not heard of the next key, and cosigns nothing of it.
            code, said = await hansard.run("notary", "--rotate")
            assert code == 0, said
            second = said.strip().splitlines()[-1]
            assert second != first

            async def is_rotated() -> bool:
                return (hansard.home / "notary/notary.vkey").read_text().strip() == second

            await until(is_rotated, seconds=60)
            posted = (await http.post(f"/rooms/{room}/messages", json={"content": "on"})).json()
            await until(is_signed, seconds=30)
            code, said = await hansard.run("verify", "--key", first)
            assert (code, said.startswith("whole: ")) == (0, True), said
        finally:
            cosigning.terminate()
            await cosigning.wait()
        keys = tmp_path / "keys.json"
        keys.write_text((await http.get(f"{hansard.base}/.well-known/hansard-keys")).text)
        receipt, packed = tmp_path / "a.tlog-proof", tmp_path / "record.zip"
        code, said = await hansard.run("prove", posted["id"], "--output", str(receipt))
        assert code == 0, said
        code, said = await hansard.run("package", str(packed))
        assert code == 0, said
        code, said = await hansard.run("verify", str(packed), "--key", second)
        assert (code, said.startswith("whole: ")) == (0, True), said
        for key in (first, second):
            known = hansard_verify.told_keys(hansard_verify.read_key(key), keys)
            assert f"Position {posted['position']} of" in hansard_verify.verify_proof(receipt.read_text(), known)
            assert hansard_verify.verify_package(packed, hansard_verify.read_key(key), [], []).startswith("All ")
        code, said = await hansard.run("doctor")
        assert "[ok]   notary: signed up to position" in said, said
        await http.aclose()
