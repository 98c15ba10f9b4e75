"""Exports: packages of what was said, for people with a role for it. A part of `Client`, which asks for it. Every call says why."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Unpack

import httpx

from hansard_client.asking import Asked, path_of
from hansard_client.chat import Id
from hansard_client.models import Export

PIECE_BYTES = 8 * 1024**2
PIECE_SECONDS = 120.0
Format = Literal["jsonl", "csv", "eml", "slack", "rsmf"]


class Exports(ABC):
    @abstractmethod
    async def call(self, method: str, path: str, **asked: Unpack[Asked]) -> Any:
        """Call a route and return its body."""

    @abstractmethod
    async def _ask(self, method: str, path: str, **asked: Unpack[Asked]) -> httpx.Response: ...

    async def request_export(
        self,
        formats: Sequence[Format],
        *,
        reason: str,
        since: datetime | None = None,
        before: datetime | None = None,
        rooms: Sequence[Id] = (),
        actors: Sequence[Id] = (),
        recipient: str | None = None,
    ) -> Export:
        """Have a package made of what was said from `since` until before `before`. `recipient`: whose public key seals it (age or
        OpenPGP)."""
        body: dict[str, Any] = {"formats": list(formats), "rooms": [path_of(each) for each in rooms]}
        body["actors"] = [path_of(each) for each in actors]
        named = {"from": since and since.isoformat(), "to": before and before.isoformat(), "recipient": recipient}
        body |= {name: value for name, value in named.items() if value is not None}
        return Export.of(await self.call("POST", "/audit/exports", body=body, reason=reason))

    async def export(self, export_id: Id, *, reason: str) -> Export:
        """Return how far an export is."""
        return Export.of(await self.call("GET", f"/audit/exports/{path_of(export_id)}", reason=reason))

    async def exports(self, *, reason: str) -> list[Export]:
        """Return the exports that were asked for, the latest first."""
        return [Export.of(each) for each in (await self.call("GET", "/audit/exports", reason=reason))["items"]]

    async def cancel_export(self, export_id: Id, *, reason: str) -> Export:
        return Export.of(await self.call("POST", f"/audit/exports/{path_of(export_id)}/cancel", reason=reason))

    async def download_export(self, export_id: Id, target: Path, *, reason: str) -> Path:
        """Write the package to a file, piece by piece; what is there already of it is not fetched again."""
        size = (await self.export(export_id, reason=reason)).size
        path = f"/audit/exports/{path_of(export_id)}/package"
        with target.open("ab") as file:
            while size is None or file.tell() < size:
                span = (file.tell(), file.tell() + PIECE_BYTES - 1)
                answer = await self._ask("GET", path, reason=reason, span=span, seconds=PIECE_SECONDS)
                file.write(answer.content)
                size = size if size is not None else file.tell()
        return target
