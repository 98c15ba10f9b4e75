"""Outcomes: what an answer means to whoever sends. The same for push services and webhooks."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from adapters.outbound.answers import Answer, NoAnswerError
from adapters.outbound.requests import OutboundRequests
from domain.errors import EndpointRefusedError
from domain.ports.channels import Gone, Later, Outcome, Refused, Told

GONE = frozenset({404, 410})
PASSING = frozenset({408, 425, 429})  # and whatever is 5xx
LATER_SECONDS = 60.0
LATER_SECONDS_MAX = 24 * 3600.0


async def sent(
    requests: OutboundRequests,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    now: datetime,
    gone: Collection[int] = GONE,
    later_seconds: float = LATER_SECONDS,
) -> Outcome:
    """Send a body once, and return what came of it. `later_seconds`: when to try again, where the answer does not say."""
    try:
        return outcome_of(await requests.post(url, body, headers), now=now, gone=gone, later_seconds=later_seconds)
    except EndpointRefusedError:
        return Refused("not a public address")
    except NoAnswerError:
        return Later(later_seconds)


def outcome_of(
    answer: Answer, *, now: datetime, gone: Collection[int] = GONE, later_seconds: float = LATER_SECONDS
) -> Outcome:
    if 200 <= answer.status < 300:
        return Told()
    if answer.status in gone:
        return Gone()
    if answer.status in GONE | PASSING or answer.status >= 500:
        return Later(_seconds(answer.retry_after, now, later_seconds))
    return Refused(f"answered {answer.status}")


def _seconds(retry_after: str | None, now: datetime, later_seconds: float) -> float:
    """Return how long to wait (RFC 9110 10.2.3: seconds or a date), within bounds."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:9])
    else:
        try:
            at = parsedate_to_datetime(text)
            seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return later_seconds
    return min(max(seconds, 1.0), LATER_SECONDS_MAX)
