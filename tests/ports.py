"""Ports for servers of tests: nobody listens on one that was given, and nobody is given it until its server does.

A port that the system chose for a moment is one that it chooses again, for the next who connects to anything: the server that is
started a second later finds it taken. These lie below all that systems choose from, and each is given once in a round of them;
a run beside this one begins its round elsewhere.
"""

import os
import socket
from itertools import chain, cycle, islice

PORTS = range(20_000, 32_000)  # Linux gives those who connect a port from 32768 on, others from 49152 on
STEP = 97  # runs that are started together have process ids near to each other

_FIRST = os.getpid() * STEP % len(PORTS)
_ROUND = cycle(chain(PORTS[_FIRST:], PORTS[:_FIRST]))


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """Return the first of so many ports in a row that nobody listens on."""
    while True:
        row = list(islice(_ROUND, count))
        if row[-1] - row[0] == count - 1 and all(map(_is_free, row)):
            return row[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
