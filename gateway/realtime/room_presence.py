"""Room presence: who is online in one room, as the gateways of the deployment see it. No I/O."""

from collections.abc import Callable

from adapters.redis.cluster_state import People
from domain.ids import UserId

PRESENCE_GRACE_SECONDS = 3.0
PRESENCE_PEOPLE_MAX = 500

NOBODY: frozenset[UserId] = frozenset()
NEVER_SEEN = People(0, NOBODY)


class RoomPresence:
    """Each gateway publishes its whole list, with a number that grows; `online` is the union of those of live gateways."""

    def __init__(self, gateway: str) -> None:
        """`gateway` is this process."""
        self.online = NOBODY
        self._gateway = gateway
        self._by_gateway: dict[str, People] = {}
        self._leaving: dict[UserId, float] = {}  # until when they still count as here

    @property
    def own(self) -> People | None:
        """The users whom this gateway sees, or None if it never saw any."""
        return self._by_gateway.get(self._gateway)

    @property
    def has_leaving(self) -> bool:
        """Whether a user went so recently that they still count as here."""
        return bool(self._leaving)

    def update_own(self, here: frozenset[UserId], now: float) -> bool:
        """Note whom this gateway sees now. Return whether its list changes.

        A user who went stays on it for `PRESENCE_GRACE_SECONDS`.
        """
        before = self.own or NEVER_SEEN
        for user_id in before.user_ids - here:
            self._leaving.setdefault(user_id, now + PRESENCE_GRACE_SECONDS)
        self._leaving = {
            user_id: deadline for user_id, deadline in self._leaving.items() if user_id not in here and deadline > now
        }
        seen = at_most(here | self._leaving.keys(), before.user_ids)
        if seen == before.user_ids:
            return False
        self._by_gateway[self._gateway] = People(before.number + 1, seen)
        return True

    def update_other(self, gateway: str, people: People) -> bool:
        """Note whom another gateway sees. Return False if a newer list of it is known."""
        if people.number <= self._by_gateway.get(gateway, NEVER_SEEN).number:
            return False
        self._by_gateway[gateway] = people
        return True

    def forget_others(self, is_alive: Callable[[str], bool]) -> None:
        """Forget the lists of gateways that do not live any more."""
        for gateway in [gateway for gateway in self._by_gateway if not is_alive(gateway)]:
            del self._by_gateway[gateway]

    def update_online(self, living: frozenset[str]) -> None:
        """Compute `online` from the lists of the gateways that live."""
        lists = (people.user_ids for gateway, people in self._by_gateway.items() if gateway in living)
        online = NOBODY.union(*lists)
        if online != self.online:
            self.online = at_most(online, self.online)


def at_most(people: frozenset[UserId], first: frozenset[UserId]) -> frozenset[UserId]:
    """Return these users, at most `PRESENCE_PEOPLE_MAX`; where they are more, those among the first stay."""
    if len(people) <= PRESENCE_PEOPLE_MAX:
        return people
    staying = people & first
    return staying | frozenset(sorted(people - staying)[: PRESENCE_PEOPLE_MAX - len(staying)])
