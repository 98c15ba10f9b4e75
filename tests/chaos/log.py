"""The log of a round: what everybody asked, was answered and was told, in one order; and figures.

Observers' entries are made of raw frames, as received: nothing is de-duplicated or put in order before the checker
sees it.
"""

from collections import Counter, deque
from hashlib import blake2b

from tests.chaos.checker import Admitted, Answered, Ended, Entry, Live, Sent, Subscribed, Told

TEXT_CHARS_KEPT = 40
ROOTS_KEPT = 40


class Log:
    """All entries of one round; `keeps` False: only the figures. `at` of an entry is its place."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.entries: list[Entry] = []
        self.figures: Counter[str] = Counter()
        self.complaints: Counter[str] = Counter()  # answers that say a server is at fault, and frames nobody asked for
        self.roots: deque[tuple[str, str]] = deque(maxlen=ROOTS_KEPT)  # rooms and messages that may have threads
        self._keeps = keeps
        self._at = 0
        self._subscriptions = 0

    @property
    def at(self) -> int:
        """Return the place of the next entry."""
        return self._at

    def _add(self, entry: Entry) -> int:
        assert entry.at == self._at
        if self._keeps:
            self.entries.append(entry)
        self._at += 1
        return entry.at

    def sent(self, sender: str, room: str, message_id: str, content: str) -> int:
        """Note a try; answers its number."""
        self.figures["tries"] += 1
        return self._add(Sent(self.at, sender, room, message_id, mark(content)))

    def acknowledged(self, sent: int, position: int) -> None:
        self.figures["acknowledged"] += 1
        self._add(Answered(self.at, sent, "acknowledged", position))

    def refused(self, sent: int, code: str) -> None:
        self.figures["refused"] += 1
        self._add(Answered(self.at, sent, "refused", code=code))

    def unknown(self, sent: int, code: str) -> None:
        self.figures["unknown"] += 1
        self._add(Answered(self.at, sent, "unknown", code=code))

    def admitting(self, room: str, user: str) -> int:
        """Note that somebody is being brought back; `admitted` completes it."""
        return self._add(Admitted(self.at, room, user, 0))

    def admitted(self, at: int, position: int) -> None:
        asked = self.entries[at]
        assert isinstance(asked, Admitted)
        self.entries[at] = Admitted(at, asked.room, asked.user, position)

    def subscribed(self, observer: str, connection: int, room: str, after: int | None, *, lasts: bool = False) -> int:
        """Note a subscription; answers its number."""
        self.figures["subscriptions"] += 1
        self._subscriptions += 1
        self._add(Subscribed(self.at, observer, connection, self._subscriptions, room, after, lasts))
        return self._subscriptions

    def told(
        self, number: int, position: int, prev: int, event: str, subject: str, content: str, *, deleted: bool
    ) -> None:
        self.figures["events observed"] += 1
        self._add(Told(self.at, number, position, prev, event, subject, mark(content), deleted))

    def live(self, number: int, position: int) -> None:
        self._add(Live(self.at, number, position))

    def ended(self, number: int, reason: str) -> None:
        self._add(Ended(self.at, number, reason))


def mark(content: str) -> str:
    """Return a text, or what stands for a long one."""
    if len(content) <= TEXT_CHARS_KEPT:
        return content
    return f"{len(content)}:{blake2b(content.encode(), digest_size=8).hexdigest()}"
