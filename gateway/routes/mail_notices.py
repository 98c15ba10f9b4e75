"""Mails of notices: the link in each stops them without a log-in. Mail programs POST to it by themselves (RFC 8058); who
follows it sees a page with a button, because links are followed by machines, too.
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Annotated

from litestar import Response, get, post
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter

from commands.mail_notices import AllowMailNotices, StopMailNotices
from domain import addresses
from domain.events import Caller
from gateway.http.declarations import declare
from gateway.operations.execution import execute
from gateway.services import Services

TOKEN_CHARS_MAX = 100
STYLE = "body{font:16px/1.5 system-ui;margin:4rem auto;max-width:40rem;padding:0 1rem}"
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>Mails</title>"
    "<style>{style}</style><h1>Mails from your chat</h1><p>{sentence}</p>"
    "<form method=post action='{action}?token={token}'><button>{button}</button></form></html>"
)
STOP = f"{addresses.API}/mail/unsubscribe"
ALLOW = f"{addresses.API}/mail/subscribe"

Token = Annotated[str, Parameter(query="token", max_length=TOKEN_CHARS_MAX)]


@get("/mail/unsubscribe", include_in_schema=False, opt=declare("mail.stop"))
async def ask_whether_to_stop(services: Services, token: Token = "") -> Response[bytes]:
    """Show a button that stops mails; nothing is changed by looking."""
    services.mail_links.user_of(token)
    return _page("Do you want no more of these mails?", STOP, token, "Stop them")


@post("/mail/unsubscribe", status_code=200, include_in_schema=False, opt=declare("mail.stop"))
async def stop(services: Services, caller: Caller, token: Token = "") -> Response[bytes]:
    """Stop mails of notices to the person whom the link names. They are told by other channels as before."""
    user_id = services.mail_links.user_of(token)
    await execute(services, StopMailNotices(user_id), caller)
    return _page("You get no more of these mails.", ALLOW, token, "Get them again")


@post("/mail/subscribe", status_code=200, include_in_schema=False, opt=declare("mail.stop"))
async def allow(services: Services, caller: Caller, token: Token = "") -> Response[bytes]:
    """Allow them again, as the person's settings say."""
    user_id = services.mail_links.user_of(token)
    await execute(services, AllowMailNotices(user_id), caller)
    return _page("You get these mails again, as your settings say.", STOP, token, "Stop them")


def _page(sentence: str, action: str, token: str, button: str) -> Response[bytes]:
    page = PAGE.format(style=STYLE, sentence=sentence, action=action, token=escape(token), button=button)
    return Response(page.encode(), media_type="text/html", headers={"Content-Security-Policy": POLICY})


ROUTES: list[BaseRouteHandler] = [ask_whether_to_stop, stop, allow]
