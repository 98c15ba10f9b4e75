"""The runner: every peer in turn, scenario by scenario and round by round, so that what the machine does meets all of them."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench.comparison.ejabberd import Ejabberd
from bench.comparison.hansard import Hansard
from bench.comparison.machine import cores
from bench.comparison.peer import Peer
from bench.comparison.report import Report, report
from bench.comparison.scenarios import SCENARIOS, Length, Run
from bench.comparison.servers import Servers
from bench.comparison.socketio import SocketIo
from runtime.embedded.location import PORT

ROUNDS = 3
SEVERAL_GATEWAYS = (2, 4)
QUICK = Length(seconds=2.0, rooms=20, sockets=200, messages=5_000)


class Plan(Struct, frozen=True):
    """What is to be compared. A peer with a slash in its name is a folder with another state of Hansard."""

    scenarios: Sequence[str] = tuple(SCENARIOS)
    peers: Sequence[str] = ()
    cores: int = 1
    rounds: int = ROUNDS
    length: Length = Length()
    environment: dict[str, str] = {}


def peers() -> dict[str, Callable[[Servers, Plan], Peer]]:
    """Return the peers that are installed, by name. The usual chat comes with `make bench`."""
    found: dict[str, Callable[[Servers, Plan], Peer]] = {}
    usual = _usual_chat()
    if usual is not None:
        found["usual"] = lambda servers, plan: usual(servers)
    found["hansard"] = lambda servers, plan: Hansard(servers, plan.environment)
    if Ejabberd.is_there():
        found["ejabberd"] = lambda servers, plan: Ejabberd(servers)
    if SocketIo.is_there():
        found["socketio"] = lambda servers, plan: SocketIo(servers)
    # Not compared unless asked for: a projector in a process of its own, and several gateways that share the port.
    found["hansard×apart"] = lambda servers, plan: Hansard(
        servers, plan.environment | {"HANSARD_TOGETHER": "off"}, name="hansard×apart"
    )
    for gateways in SEVERAL_GATEWAYS:
        found[f"hansard×{gateways}"] = partial(_several, gateways=gateways)
    return found


def _usual_chat() -> Any:
    from bench.comparison.usual import UsualChat

    return UsualChat if UsualChat.is_there() else None


def _several(servers: Servers, plan: Plan, *, gateways: int) -> Peer:
    return Hansard(servers, plan.environment | {"HANSARD_GATEWAYS": str(gateways)}, name=f"hansard×{gateways}")


def _checkout(servers: Servers, plan: Plan, *, folder: str) -> Peer:
    return Hansard(servers, plan.environment, Path(folder))


async def compare(plan: Plan, *, say: Callable[[Run], None]) -> Report:
    """Run everything; `say` is called with each run when it is over."""
    there = peers()
    for name in (name for name in plan.peers if "/" in name):
        there[name] = partial(_checkout, folder=name)
    if unknown := set(plan.peers) - set(there):
        sys.exit(f"Not installed or not known: {', '.join(sorted(unknown))}. There are {', '.join(there)}.")
    given, runs = cores(plan.cores), []
    async with Servers(given) as servers:
        if not servers.is_on_loopback:
            if "ejabberd" in plan.peers:
                sys.exit(f"ejabberd asks Postgres at port {PORT} of loopback, which is taken.")
            there.pop("ejabberd", None)
        contenders = [there[name](servers, plan) for name in plan.peers or (name for name in there if "×" not in name)]
        os.sched_setaffinity(0, given.generator)
        for name in plan.scenarios:
            for _ in range(plan.rounds):
                for peer in contenders:
                    if name == "S5" and not peer.has_pages:
                        continue
                    async with peer:
                        runs.append(await SCENARIOS[name](peer, plan.length))
                    say(runs[-1])
    return report(runs, plan.length, cores=plan.cores, are_apart=given.are_apart)
