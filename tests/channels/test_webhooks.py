"""Webhooks are signed as Standard Webhooks says: the specification's own example, and what a server gets."""

import json
from base64 import b64decode
from datetime import UTC, datetime
from hashlib import sha256
from hmac import digest
from uuid import UUID

from msgspec.structs import replace

from adapters.clock import now
from adapters.webhooks.sender import SECRET_BYTES, WebhookSender, secret_of, signed
from commands.email_token import IssueEmailToken, ResetPassword
from domain.events import Caller
from domain.ids import EmailTokenId, UserId
from domain.ports.channels import Gone, Later, Refused, Told
from tests.channels.push_service import Answering, push_service
from tests.channels.test_push_sender import SHOWN
from tests.deployments import VAPID, gateway
from workers.channels.webhook import WebhookChannel

# The example of the specification (and of the libraries of standard-webhooks).
SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
BODY = b'{"event_type":"ping","data":{"success":true}}'
AT = datetime.fromtimestamp(1731705121, UTC)
FAR = datetime(2100, 1, 1, tzinfo=UTC)


def test_the_example_of_the_specification() -> None:
    assert signed(BODY, id="msg_loFOjxBNrRLzqYUf", at=AT, secrets=[SECRET]) == {
        "webhook-id": "msg_loFOjxBNrRLzqYUf",
        "webhook-timestamp": "1731705121",
        "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    }


def test_two_secrets_sign_side_by_side() -> None:
    other = secret_of(sha256(b"other").digest())
    assert other.startswith("whsec_") and len(b64decode(other.removeprefix("whsec_"))) == SECRET_BYTES
    one, two = signed(BODY, id="7", at=AT, secrets=[SECRET, other])["webhook-signature"].split()
    assert one != two and two == signed(BODY, id="7", at=AT, secrets=[other])["webhook-signature"]


async def test_a_server_gets_it_and_its_answer_is_heeded() -> None:
    async with push_service(VAPID.public_key) as service:
        requests = service.client()
        sender, url = WebhookSender(requests, now=now), f"{service.base}/hooks/mine"
        for answering, outcome in (
            (Answering(200), Told()), (Answering(204), Told()), (Answering(410), Gone()), (Answering(404), Later(60.0)),
            (Answering(429, {"Retry-After": "9"}), Later(9.0)), (Answering(302, {"Location": "/x"}), Refused("answered 302")),
        ):  # fmt: skip
            service.answers = [answering]
            assert await sender.send(url, BODY, id="42", secrets=[SECRET]) == outcome
        headers, body = service.hooked[0]
        content = f"42.{headers['webhook-timestamp']}.".encode() + body
        key = b64decode(SECRET.removeprefix("whsec_"))
        assert b64decode(headers["webhook-signature"].removeprefix("v1,")) == digest(key, content, "sha256")
        assert headers["Content-Type"] == "application/json" and body == BODY
        assert await sender.send("https://169.254.169.254/x", BODY, id="42", secrets=[SECRET]) == Refused(
            "not a public address"
        )
        await requests.close()


async def test_a_persons_own_webhook_is_told_what_their_devices_are(database_url: str, redis_url: str) -> None:
    async with push_service(VAPID.public_key) as service:
        async with gateway(database_url, redis_url, requests=service.client()) as hansard:
            ada, bus = await hansard.person(), hansard.services.command_bus
            channel, account = WebhookChannel(bus, hansard.services.webhooks), UUID(ada.id)
            assert (await ada.ask("GET", "/users/me/webhook", 404))["code"] == "webhook.not_found"
            body = {"url": f"{service.base}/hooks/mine"}
            made = await ada.ask("PUT", "/users/me/webhook", 200, json=body)
            assert await ada.ask("GET", "/users/me/webhook", 200) == {**body, "secret": None}
            again = await ada.ask("PUT", "/users/me/webhook", 200, json=body)
            assert again["secret"] != made["secret"]
            assert await channel.targets(account) == [account]
            notice = replace(SHOWN, account_id=account)
            for _ in range(2):
                assert await channel.tell(account, notice) == Told()
            (headers, told), (repeated, _) = service.hooked
            assert headers["webhook-id"] == repeated["webhook-id"] == "42", "so that a repeat is known"
            at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            assert (
                signed(told, id="42", at=at, secrets=[again["secret"]])["webhook-signature"]
                == headers["webhook-signature"]
            )
            assert json.loads(told)["text"] == "shall we?" and json.loads(told)["user_id"] == ada.id
            service.answers = [Answering(410)]
            assert await channel.tell(account, notice) == Gone()
            for _ in range(2):
                await channel.forget(account)
            assert await channel.targets(account) == []
            for url in (
                "http://push.example.org/",
                "https://169.254.169.254/",
                "https://127.1/",
                "https://a@b.example/",
            ):
                answer = await ada.http.put("/users/me/webhook", json={"url": url})
                assert (answer.status_code, answer.json().get("errors", [{}])[0].get("pointer")) == (422, "/url"), (
                    answer.text
                )
            await ada.ask("PUT", "/users/me/webhook", 200, json=body)
            token = EmailTokenId(bus.new_id())
            await bus.do(IssueEmailToken(token, UserId(account), "reset_password", "hash", FAR), Caller())
            await bus.do(ResetPassword(token, "hash", "another"), Caller())
            assert await channel.targets(account) == [], "whoever knew the password may have set it"
            assert await channel.tell(account, notice) == Gone()
