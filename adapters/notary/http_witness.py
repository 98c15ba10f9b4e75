"""A witness over HTTP that cosigns (C2SP tlog-witness): it is asked with a proof from the tree that it saw last."""

import aiohttp

from adapters.notary.cosigner import cosigned
from domain.cosignature import Submission, submission, with_lines
from domain.ports.witnesses import Prover, WitnessContradictsError, WitnessUnavailableError
from domain.tree_head import NoteUnreadableError, Signature, TreeHead, VerifierKey, read_signature_lines

WITNESS_ANSWER_SECONDS = 15.0
ANSWER_BYTES_MAX = 16 * 1024
LINES_MAX = 16


class HttpWitness:
    """One witness, at an address, with the key that its operator gave out."""

    def __init__(self, address: str, key: VerifierKey) -> None:
        self.name = key.name
        self._address = f"{address.rstrip('/')}/add-checkpoint"
        self._key = key
        self._seen = 0
        self._session: aiohttp.ClientSession | None = None

    async def take(self, head: TreeHead, note: str, prove: Prover) -> Signature | None:
        if self._seen > head.size:
            raise self._another(self._seen, head)
        status, said = await self._ask(head, note, prove)
        if status == 409:
            seen = _size(said)
            if seen == self._seen or seen > head.size:
                raise self._another(seen, head)
            self._seen = seen
            status, said = await self._ask(head, note, prove)
        if status in (409, 422):
            raise WitnessContradictsError(
                f"{self.name} does not find that this tree of {head.size:,} events extends the one that it saw last "
                f"({self._seen:,}): {said.strip()[:200]}"
            )
        if status != 200:
            raise WitnessUnavailableError(f"{self.name} answers {status}: {said.strip()[:200]}")
        line = self._line(note, said)
        self._seen = head.size
        return line

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(self, head: TreeHead, note: str, prove: Prover) -> tuple[int, str]:
        hashes = await prove(self._seen) if 0 < self._seen < head.size else []
        body = submission(Submission(self._seen, hashes, note)).encode()
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WITNESS_ANSWER_SECONDS))
        try:
            async with self._session.post(self._address, data=body, allow_redirects=False) as answer:
                return answer.status, (await answer.content.read(ANSWER_BYTES_MAX)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise WitnessUnavailableError(f"{self.name} does not answer: {error or type(error).__name__}") from None

    def _another(self, seen: int, head: TreeHead) -> WitnessContradictsError:
        return WitnessContradictsError(
            f"{self.name} has seen another tree, of {seen:,} events, than this one of {head.size:,}."
        )

    def _line(self, note: str, said: str) -> Signature:
        """Return the cosignature of this witness's key in an answer, verified. Raise `WitnessUnavailableError`."""
        try:
            lines = read_signature_lines(said)
            for line in lines[:LINES_MAX]:
                if (line.name, line.key_id) == (self._key.name, self._key.key_id):
                    cosigned(with_lines(note, [line]), self._key)
                    return line
        except NoteUnreadableError as error:
            raise WitnessUnavailableError(f"{self.name} answers no cosignature of this: {error}") from None
        raise WitnessUnavailableError(f"{self.name} answers no cosignature of the key that is known.")


def _size(said: str) -> int:
    text = said.strip()
    if not (text.isascii() and text.isdecimal()) or len(text) > 19:
        raise WitnessUnavailableError("The witness answers 409 without the size of a tree.")
    return int(text)
