"""What auditors ask: the trail, the stream of it, and approvals. A part of `Client`, which asks for it."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from random import Random
from typing import Any, Unpack

import httpx

from hansard_client.asking import Asked, path_of
from hansard_client.backoff import Backoff
from hansard_client.chat import Id
from hansard_client.errors import RecordChanged, Refused, seconds_of
from hansard_client.models import Approval, AuditEntry

CONNECT_SECONDS = 10.0
QUIET_SECONDS = 45.0  # three heartbeats that did not come: the connection is dead


class Auditing(ABC):
    _http: httpx.AsyncClient
    _backoff: Backoff
    _chance: Random

    @abstractmethod
    async def call(self, method: str, path: str, **asked: Unpack[Asked]) -> Any:
        """Call a route and return its body."""

    @abstractmethod
    async def token(self, stale: str | None = None) -> str:
        """Return an access token that is good for a while, and not `stale`."""

    async def audit_events(self, *, reason: str, **filters: str | int | None) -> AsyncIterator[AuditEntry]:
        """Yield the entries that were asked for, in order: `actor`, `subject`, `room`, `type`, `from`, `to`, `after`. The reason
        is recorded."""
        query = dict(filters)
        while True:
            page = await self.call("GET", "/audit/events", query=query, reason=reason)
            for item in page["items"]:
                yield AuditEntry.of(item)
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    async def audit_stream(
        self, *, reason: str, after: int | None = None, texts: bool = False
    ) -> AsyncIterator[AuditEntry]:
        """Yield entries as they are recorded, for ever, from after a position on (None: from now on); `texts`: with what people
        wrote. Whatever becomes of the connection, none is missed and none comes twice.

        Raises `Refused` when one may not listen any more, `RecordChanged` when the record was replaced.
        """
        pauses = self._backoff.pauses(self._chance)
        stale: str | None = None
        while True:
            token, wait = await self.token(stale), None
            try:
                async for told in self._listened(token, reason, after, texts):
                    pauses = self._backoff.pauses(self._chance)
                    if isinstance(told, AuditEntry):
                        after = told.position
                        yield told
                    else:
                        after = told
            except Refused as refused:
                if refused.code == "record_changed":
                    raise RecordChanged(refused.detail) from refused
                if refused.code == "auth.token_invalid" and token != stale:
                    stale = token
                    continue
                if not refused.is_retryable:
                    raise
                wait = refused.retry_after
            except httpx.TransportError:
                pass  # come again
            await asyncio.sleep(max(next(pauses), wait or 0.0))

    async def _listened(
        self, token: str, reason: str, after: int | None, texts: bool
    ) -> AsyncIterator[AuditEntry | int]:
        """Yield what comes on one connection: entries, and at first the position after which they begin."""
        headers = httpx.Headers({"Authorization": f"Bearer {token}", "Accept": "text/event-stream"})
        headers["Hansard-Reason"] = reason
        query = {name: value for name, value in (("after", after), ("texts", texts or None)) if value is not None}
        timeout = httpx.Timeout(CONNECT_SECONDS, read=QUIET_SECONDS)
        async with self._http.stream("GET", "/audit/stream", headers=headers, params=query, timeout=timeout) as answer:
            if not answer.is_success:
                await answer.aread()
                problem = json.loads(answer.content)
                raise Refused.of(problem, answer.status_code, seconds_of(answer.headers.get("Retry-After")))
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                field, _, value = line.partition(": ")
                if line:
                    fields[field] = value
                    continue
                if "data" in fields and fields.get("event") == "end":
                    raise Refused.of({"status": 403, **json.loads(fields["data"])})
                if "data" in fields:
                    yield AuditEntry.of(json.loads(fields["data"]))
                elif "id" in fields:
                    yield int(fields["id"])
                fields = {}

    async def approvals(self, *, reason: str, state: str = "pending") -> list[Approval]:
        """Return what waits for a second pair of eyes, or what became of it."""
        found: list[Approval] = []
        query: dict[str, str | int | bool | None] = {"state": state}
        while True:
            page = await self.call("GET", "/approvals", query=query, reason=reason)
            found += map(Approval.of, page["items"])
            if page["next_cursor"] is None:
                return found
            query["cursor"] = page["next_cursor"]

    async def approve(self, approval_id: Id, *, reason: str) -> Approval:
        """Agree to what somebody else asked for."""
        return Approval.of(await self.call("POST", f"/approvals/{path_of(approval_id)}/approve", reason=reason))

    async def refuse(self, approval_id: Id, *, reason: str) -> Approval:
        """Refuse what somebody else asked for."""
        return Approval.of(await self.call("POST", f"/approvals/{path_of(approval_id)}/refuse", reason=reason))
