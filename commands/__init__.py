"""What callers may ask for. `HANDLERS` is the package's table: a feature's own table is one more line."""

from collections.abc import Mapping

from msgspec import Struct

from commands import (
    account,
    approval,
    audit,
    block,
    clock,
    direct,
    email_token,
    export,
    file,
    mail_notices,
    membership,
    message,
    notification,
    operating,
    own_webhook,
    parking,
    pin,
    push,
    reaction,
    reading,
    restoration,
    room,
    security,
    session,
    thread,
)
from commands.unit_of_work import Handler

HANDLERS: Mapping[type[Struct], Handler] = {
    **account.HANDLERS,
    **session.HANDLERS,
    **email_token.HANDLERS,
    **room.HANDLERS,
    **membership.HANDLERS,
    **direct.HANDLERS,
    **block.HANDLERS,
    **message.HANDLERS,
    **pin.HANDLERS,
    **push.HANDLERS,
    **own_webhook.HANDLERS,
    **mail_notices.HANDLERS,
    **reaction.HANDLERS,
    **reading.HANDLERS,
    **notification.HANDLERS,
    **thread.HANDLERS,
    **file.HANDLERS,
    **approval.HANDLERS,
    **audit.HANDLERS,
    **operating.HANDLERS,
    **export.HANDLERS,
    **security.HANDLERS,
    **clock.HANDLERS,
    **restoration.HANDLERS,
    **parking.HANDLERS,
}
