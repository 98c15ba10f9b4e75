"""What every channel promises (`domain/ports/channels.py`), whichever it is."""

from uuid import UUID

from msgspec.structs import replace

from adapters.clock import now
from domain.ports.channels import Channel, Gone, Later, Told
from domain.ports.mail import Mail, MailUnavailableError
from tests.channels.push_service import Answering, PushService, push_service
from tests.channels.test_mail_channel import confirmed
from tests.channels.test_push_sender import NOTICE
from tests.deployments import LINKS, VAPID, deployment
from workers.channels.mail import MailChannel
from workers.channels.push import PushChannel
from workers.channels.webhook import WebhookChannel


class Post:
    """A mail server that answers as the push service was told to."""

    def __init__(self, service: PushService) -> None:
        self._service = service

    async def send(self, mail: Mail) -> None:
        if self._service.answers and self._service.answers.pop(0).status >= 500:
            raise MailUnavailableError("mail.example.com:587 did not take a mail")


async def test_every_channel_keeps_its_promises(database_url: str, redis_url: str) -> None:
    async with push_service(VAPID.public_key) as service:
        async with deployment(database_url, redis_url, requests=service.client()) as hansard:
            services = hansard.services
            ada, ben = await confirmed(hansard), await confirmed(hansard)
            await ada.ask("POST", "/push/subscriptions", 201, json=service.device().as_json())
            await ada.ask("PUT", "/users/me/webhook", 200, json={"url": f"{service.base}/hooks/mine"})
            await hansard.settled()
            bus = services.command_bus
            channels: list[Channel] = [
                PushChannel(bus, services.db, services.push, now=now),
                WebhookChannel(bus, services.webhooks),
                MailChannel(bus, Post(service), LINKS, record_id=services.record_id, links_url=""),
            ]
            assert [channel.name for channel in channels] == ["push", "webhook", "mail"]
            for channel in channels:
                mine = replace(NOTICE, account_id=UUID(ada.id))
                [target] = await channel.targets(mine.account_id)
                assert await channel.targets(UUID(int=1)) == [], channel.name
                assert await channel.tell(target, mine) == Told(), channel.name
                service.answers = [Answering(503)]
                assert isinstance(await channel.tell(target, mine), Later), channel.name
                assert await channel.tell(target, replace(mine, account_id=UUID(ben.id))) == Gone(), "not theirs"
                assert await channel.tell(UUID(int=2), mine) == Gone(), channel.name
                await channel.forget(UUID(int=3))
                assert await channel.targets(mine.account_id) == [target], "nobody else was forgotten"
                for _ in range(2):
                    await channel.forget(target)
                assert await channel.targets(mine.account_id) == ([target] if channel.name == "mail" else [])
