"""The log of a round: what everybody asked, was answered and was told, in one order; and figures.

Observers' entries are made of raw frames, as received: nothing is de-duplicated or put in order before the checker
sees it.
"""

from collections import Counter
from hashlib import blake2b

from tests.chaos.checker import Admitted, Answered, Ended, Entry, Live, Sent, Subscribed, Told

TEXT_CHARS_KEPT = 40


class Log:
    """All entries of one round. `at` of an entry is its place."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.figures: Counter[str] = Counter()
        self.complaints: Counter[str] = Counter()  # answers that say a server is at fault, and frames nobody asked for
        self._subscriptions = 0

    @property
    def at(self) -> int:
        return len(self.entries)

    def sent(self, sender: str, room: str, message_id: str, content: str) -> int:
        """Note a try; answers its number."""
        self.figures["tries"] += 1
        self.entries.append(Sent(self.at, sender, room, message_id, mark(content)))
        return self.at - 1

    def acknowledged(self, sent: int, position: int) -> None:
        self.figures["acknowledged"] += 1
        self.entries.append(Answered(self.at, sent, "acknowledged", position))

    def refused(self, sent: int, code: str) -> None:
        self.figures["refused"] += 1
        self.entries.append(Answered(self.at, sent, "refused", code=code))

    def unknown(self, sent: int, code: str) -> None:
        self.figures["unknown"] += 1
        self.entries.append(Answered(self.at, sent, "unknown", code=code))

    def admitting(self, room: str, user: str) -> int:
        """Note that somebody is being brought back; `admitted` completes it."""
        self.entries.append(Admitted(self.at, room, user, 0))
        return self.at - 1

    def admitted(self, at: int, position: int) -> None:
        asked = self.entries[at]
        assert isinstance(asked, Admitted)
        self.entries[at] = Admitted(at, asked.room, asked.user, position)

    def subscribed(self, observer: str, connection: int, room: str, after: int | None) -> int:
        """Note a subscription; answers its number."""
        self.figures["subscriptions"] += 1
        self._subscriptions += 1
        self.entries.append(Subscribed(self.at, observer, connection, self._subscriptions, room, after))
        return self._subscriptions

    def told(
        self, number: int, position: int, prev: int, event: str, subject: str, content: str, *, deleted: bool
    ) -> None:
        self.figures["events observed"] += 1
        self.entries.append(Told(self.at, number, position, prev, event, subject, mark(content), deleted))

    def live(self, number: int, position: int) -> None:
        self.entries.append(Live(self.at, number, position))

    def ended(self, number: int, reason: str) -> None:
        self.entries.append(Ended(self.at, number, reason))


def mark(content: str) -> str:
    """Return a text, or what stands for a long one."""
    if len(content) <= TEXT_CHARS_KEPT:
        return content
    return f"{len(content)}:{blake2b(content.encode(), digest_size=8).hexdigest()}"
