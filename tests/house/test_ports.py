"""Ports that tests give to their servers are theirs."""

import socket
from pathlib import Path

import pytest

from tests.ports import PORTS, free_port, free_ports

SYSTEMS_OWN = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_port_is_given_once_and_never_while_somebody_listens_on_it() -> None:
    given = [free_port() for _ in range(100)]
    assert len(set(given)) == len(given)
    first = free_ports(3)
    assert not {first, first + 1, first + 2} & set(given)
    with socket.create_server(("127.0.0.1", first + 4)):
        row = free_ports(3)
    assert first + 4 not in (row, row + 1, row + 2)


@pytest.mark.skipif(not SYSTEMS_OWN.exists(), reason="what the system chooses from is said on Linux")
def test_the_system_gives_none_of_them_to_others() -> None:
    low, high = map(int, SYSTEMS_OWN.read_text().split())
    assert not set(PORTS) & set(range(low, high + 1))
