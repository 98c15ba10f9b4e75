"""Syslog messages (RFC 5424), and how they follow each other in a stream (RFC 6587 3.4.1, RFC 5425 4.3: octet counting).

Structured data names the position, the record and the leaf, so that a receiver need not understand the message to order it and
to tell repeats. The enterprise number is 32473, which RFC 5612 keeps for examples: we have none of our own.
"""

import re
from datetime import UTC

from adapters.forwarding.formats import Source, is_notable
from adapters.postgres.audit import AuditEntry

FACILITY_AUDIT, NOTICE, INFORMATIONAL = 13, 5, 6  # RFC 5424 6.2.1
ENTERPRISE = "32473"
NIL = "-"
HOST_CHARS_MAX, ID_CHARS_MAX = 255, 32
UNPRINTABLE = re.compile(r"[^!-~]")
ESCAPED = re.compile(r'(["\\\]])')
MARK = "\ufeff".encode()  # before a message that is UTF-8, and more than ASCII (RFC 5424 6.4)


def message(entry: AuditEntry, source: Source, said: bytes, *, host: str) -> bytes:
    """Return a message of syslog with this content."""
    priority = FACILITY_AUDIT * 8 + (NOTICE if is_notable(entry) else INFORMATIONAL)
    at = entry.recorded_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    head = f"<{priority}>1 {at} {_printable(host, HOST_CHARS_MAX)} hansard {NIL} {_printable(entry.type, ID_CHARS_MAX)}"
    return b" ".join((f"{head} {_structured(entry, source)}".encode(), said if said.isascii() else MARK + said))


def counted(sent: bytes) -> bytes:
    """Return a message with its length before it, as it stands in a stream."""
    return b" ".join((str(len(sent)).encode(), sent))


def _structured(entry: AuditEntry, source: Source) -> str:
    given = {
        "position": entry.position,
        "record": source.record,
        "leaf": entry.leaf_hash,
        "actor": entry.actor,
        "room": entry.room_id,
    }
    parameters = " ".join(f'{name}="{_escaped(str(value))}"' for name, value in given.items() if value is not None)
    return f'[origin software="hansard" swVersion="{_escaped(source.version)}"][hansard@{ENTERPRISE} {parameters}]'


def _escaped(text: str) -> str:
    return ESCAPED.sub(r"\\\1", text)


def _printable(text: str, most: int) -> str:
    return UNPRINTABLE.sub("_", text)[:most] or NIL
