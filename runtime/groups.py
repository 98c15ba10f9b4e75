"""The groups whose rights the migrations grant, and the names of log-ins. Names alone: who makes them is `runtime/roles.py`, which
loads the driver of Postgres."""

from collections.abc import Sequence
from typing import NamedTuple

APP = "hansard_app"
# Each process' group, by the name under which its log-in is asked for.
GROUP_OF = {
    "gateway": "hansard_gateway",
    "projector": "hansard_projector",
    "worker": "hansard_worker",
    "notifier": "hansard_notifier",
    "notary": "hansard_notary",
    "operator": "hansard_operator",
}
SERVER = "server"  # one log-in for all of them, where a deployment is small
LOGINS = (*GROUP_OF, SERVER)
GROUPS = (APP, *GROUP_OF.values())


class Login(NamedTuple):
    """A log-in of one kind of process: its name in Postgres, and its groups."""

    name: str
    groups: Sequence[str]


def login(kind: str) -> Login:
    """Return the log-in of a process, or of all of them (`SERVER`)."""
    return Login(f"hansard_{kind}_login", tuple(GROUP_OF.values()) if kind == SERVER else (GROUP_OF[kind],))
