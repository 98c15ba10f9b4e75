"""Being somebody's witness: cosign what extends the tree that was seen last, and nothing else (C2SP tlog-witness).

A witness knows the public keys of the logs that it follows, and of each the last checkpoint. So whoever has stolen a log's key
still cannot have two different trees cosigned, nor a shorter one.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from adapters.notary.cosigner import Cosigner
from adapters.notary.key import verified
from adapters.notary.witnessed import WitnessedLogs
from domain.cosignature import (
    SubmissionRefusedError,
    read_line,
    read_submission,
    require_extension,
    with_lines,
)
from domain.tree_head import NoteUnreadableError, TreeHead, VerifierKey, read_note, read_tree_head, signature_lines

log = structlog.get_logger()


class LogWitness:
    """Cosigns the checkpoints of some logs, one after the other."""

    def __init__(
        self, cosigner: Cosigner, keys: Sequence[VerifierKey], logs: WitnessedLogs, seconds: Callable[[], int]
    ) -> None:
        """`keys` are those of the logs, several of one log if it changed its own; `seconds` tells the time since 1970."""
        self._cosigner = cosigner
        self._keys = keys
        self._logs = logs
        self._seconds = seconds
        self._turn = asyncio.Lock()

    async def add(self, body: str) -> str:
        """Cosign what was submitted; return the line. Raise `SubmissionRefusedError`, or `OSError` if it cannot be kept."""
        asked = read_submission(body)
        text, head = self._signed(asked.note)
        async with self._turn:
            kept = await asyncio.to_thread(self._logs.last, head.origin)
            seen = None if kept is None else read_tree_head(read_note(kept)[0])
            try:
                require_extension(seen, asked, head)
            except SubmissionRefusedError as refused:
                log.warning("not cosigned", origin=head.origin, size=head.size, because=str(refused))
                raise
            line = self._cosigner.cosign(text, self._time(kept))
            await asyncio.to_thread(self._logs.keep, head.origin, with_lines(asked.note, [line]))
        return signature_lines([line])

    def last(self, digest: str) -> str | None:
        """Return what was cosigned last of a log, by the digest of its origin."""
        return self._logs.by_digest(digest)

    def _signed(self, note: str) -> tuple[str, TreeHead]:
        """Return the text that a log which is followed has signed, and what it says. Raise `SubmissionRefusedError`."""
        try:
            text, _ = read_note(note)
            head = read_tree_head(text)
        except NoteUnreadableError as error:
            raise SubmissionRefusedError(400, str(error)) from None
        known = [key for key in self._keys if key.name == head.origin]
        if not known:
            raise SubmissionRefusedError(404, "this log is not followed")
        for key in known:
            try:
                return text, verified(note, key)
            except NoteUnreadableError:
                continue
        raise SubmissionRefusedError(403, "no key of this log has signed this")

    def _time(self, kept: str | None) -> int:
        """Return the time, never one before the last cosignature's: a clock that went back makes no earlier one."""
        mine = self._cosigner.verifier
        lines = [] if kept is None else read_note(kept)[1]
        before = [read_line(line).at for line in lines if (line.name, line.key_id) == (mine.name, mine.key_id)]
        return max([self._seconds(), *before])
