"""A device on this machine, with a push service of its own: subscribes somebody, and prints what it is told.

For trying push without a browser and its vendor. Hansard pushes to public addresses over https alone, so a server that is to
reach this one has to be told of its network and of who signed its certificate; what to type is printed.
"""

import argparse
import asyncio
import json
from contextlib import suppress
from pathlib import Path
from shlex import quote

import httpx

from tests.channels.push_service import LOOPBACK, FakeDevice, PushService, push_service

AGAIN_SECONDS = 1.0
NAME = "a terminal"


def main() -> None:
    """Run from a terminal until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make device", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where Hansard is (%(default)s)")
    parser.add_argument("--token", required=True, help="an access token of whose device it is")
    parser.add_argument("--authority", type=Path, default=Path(".hansard/device.pem"), help="written (%(default)s)")
    asked = parser.parse_args()
    if not asked.token:
        parser.error("whose device is it? Give an access token: make device TOKEN=…")
    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(listen(asked.url, asked.token, asked.authority))
        except httpx.HTTPError as error:
            raise SystemExit(f"Hansard at {asked.url} does not answer as it should: {error}") from None


async def listen(url: str, token: str, authority: Path) -> None:
    """Subscribe as soon as the server may push here, then print notices for ever."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers) as http:
        key = (await http.get("/push/key")).raise_for_status().json()["public_key"]
        async with push_service(key) as service:
            print(f"Stop Hansard, and start it with: {trusting(service, authority)} make up", flush=True)
            device = service.device()
            await subscribe(http, device)
            print("Subscribed. What this device is told:", flush=True)
            await tell(service, device)


def trusting(service: PushService, authority: Path) -> str:
    """Write down who signed the certificate, and return the settings with which a server pushes here."""
    authority.parent.mkdir(parents=True, exist_ok=True)
    authority.write_bytes(service.authority)
    return f"SSL_CERT_FILE={quote(str(authority.resolve()))} HANSARD_PUSH_NETWORKS={LOOPBACK}"


async def subscribe(http: httpx.AsyncClient, device: FakeDevice) -> None:
    """Subscribe the device; while the server is away or may not push here, again and again."""
    while True:
        with suppress(httpx.TransportError):
            answer = await http.post("/push/subscriptions", json={**device.as_json(), "device": NAME})
            if answer.is_success:
                return
            if answer.status_code not in (422, 503):
                raise SystemExit(answer.json()["detail"])
        await asyncio.sleep(AGAIN_SECONDS)


async def tell(service: PushService, device: FakeDevice) -> None:
    """Print each notice as a line of JSON, and what was wrong with one that could not be opened."""
    while True:
        for received in device.received:
            print(json.dumps(received.said), flush=True)
        for fault in service.faults:
            print(f"It could not be opened: {fault}", flush=True)
        device.received.clear()
        service.faults.clear()
        await asyncio.sleep(AGAIN_SECONDS)


if __name__ == "__main__":
    main()
