"""Browser sessions: a refresh token in a cookie that no script can read, for pages of the server's own origin.

A page asks for it with `Hansard-Session: cookie`, at log-in, refresh and log-out. The header is needed to spend the cookie, too:
other sites cannot have a browser send it, as no answer to a preflight allows it. `SameSite=Strict`, and the checks of Origin and
Sec-Fetch-Site, say the same twice more (OWASP: defence in depth). No other route reads the cookie.
"""

from typing import Any

from litestar import Request

from domain import addresses
from domain.bounds import REFRESH_SECONDS
from domain.errors import BadRefreshTokenError
from gateway.http.problems import Problem

HEADER = "Hansard-Session"
NAME = "hansard_refresh"
PATH = f"{addresses.API}/auth/refresh"
SITES = frozenset({"same-origin", "none"})  # "none": the person themselves, not a page (Fetch Metadata)


def is_own_origin(origin: str, host: str) -> bool:
    """Return whether a page's Origin is the server itself, at the address by which it was asked."""
    return origin in (f"http://{host}", f"https://{host}")


def wants_cookie(request: Request[Any, Any, Any]) -> bool:
    """Return whether the refresh token is to be in a cookie. Raise `Problem` for a page that may not have it there."""
    asked = request.headers.get(HEADER)
    if asked is None:
        return False
    if asked != "cookie":
        raise Problem(422, "header.session", f"{HEADER} is `cookie`, or absent.")
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    is_own = origin is None or is_own_origin(origin, request.headers.get("host", ""))
    if not is_own or site not in SITES:
        raise Problem(403, "origin.refused", "Sessions in cookies are for pages of this server's own origin.")
    return True


def token_of(request: Request[Any, Any, Any]) -> str:
    """Return the refresh token of the request's cookie. Raise `BadRefreshTokenError` if there is none, or more than one.

    Other cookies are anybody's on this host, or of another name of its domain, and may be of any form (RFC 6265 5.4); one more of
    this name would be somebody's who wants the page to go on in a session of theirs.
    """
    pairs = (pair.strip(" \t").partition("=") for pair in request.headers.get("cookie", "").split(";"))
    found = [value for name, _, value in pairs if name == NAME]
    if len(found) != 1 or not found[0]:
        raise BadRefreshTokenError
    return found[0]


def set_cookie(request: Request[Any, Any, Any], token: str) -> dict[str, str]:
    """Return the header that has a browser keep a refresh token, and replace the one before."""
    return _header(request, token, REFRESH_SECONDS)


def clear_cookie(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Return the header that has a browser forget it."""
    return _header(request, "", 0)


def _header(request: Request[Any, Any, Any], value: str, seconds: int) -> dict[str, str]:
    secure = "; Secure" if request.scope["state"]["is_secure"] else ""
    return {"Set-Cookie": f"{NAME}={value}; Path={PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"}
