"""Listening: a gateway's socket. Apart from the server, so that whoever only looks whether the port is free loads no server."""

import errno
import os
import socket

from domain.errors import SetupError

SEND_BUFFER_BYTES = 64 * 1024
BACKLOG = 2048


class PortTakenError(SetupError):
    """The address is taken, or may not be used."""


def listen(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Return a bound, listening socket. Raise `PortTakenError`, with one sentence, if that is impossible.

    `is_shared`: other processes of this user may listen there too, if they say the same; the kernel gives each of them about
    as many of the connections (SO_REUSEPORT).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited; or small answers wait 40 ms
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if host == "::":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # IPv4 too, whatever the machine's default
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise port_taken(host, port, error, _remedy(error)) from None
    listener.setblocking(False)
    return listener


def port_taken(host: str, port: int, error: OSError, remedy: str, purpose: str = "") -> PortTakenError:
    """Return the error that says in one sentence why nobody can listen there, and in another what to do."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # asyncio writes a text of its own beside the number; the resolver's numbers are below zero.
    because = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror
    return PortTakenError(f"Cannot listen on {place}{purpose}: {because}. {remedy}")


def _remedy(error: OSError) -> str:
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        return "Set HANSARD_PORT to another one."
    return "Set HANSARD_HOST to an address of this machine: 127.0.0.1 for itself alone, 0.0.0.0 or :: for all."
