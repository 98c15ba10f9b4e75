"""What a forwarded entry says: JSON as the API has it, CEF, or OCSF. One line each, and in each the position as its id.

CEF is ArcSight's Common Event Format, version 0 (Implementing ArcSight CEF, revision 27): a header of seven fields, and an
extension of keys of its dictionary. What it has no key for stands in `cs1` to `cs6`, with labels.
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Literal

import msgspec
from msgspec import Struct

from adapters.forwarding import ocsf
from adapters.postgres.audit import AuditEntry
from domain.ids import RecordId

Format = Literal["json", "cef", "ocsf"]
# Who was refused, locked out or given power is what somebody on duty looks at; the rest is for the archive.
CEF_SEVERITY, CEF_SEVERITY_NOTABLE = 3, 6
NOTABLE = frozenset(
    {"security.refusals_counted", "account.role_granted", "account.role_revoked", "account.deactivated", "audit.read",
     "audit.forwarding_began", "clock.accepted", "record.restored"}
)  # fmt: skip
HEADER = str.maketrans({"\\": "\\\\", "|": "\\|", "\r": " ", "\n": " "})
EXTENSION = str.maketrans({"\\": "\\\\", "=": "\\=", "\r": "\\r", "\n": "\\n"})


class Source(Struct, frozen=True):
    """What entries come from: the record, and the release that forwards."""

    record: RecordId
    version: str


def is_notable(entry: AuditEntry) -> bool:
    """Return whether somebody on duty should look at an entry."""
    return entry.type in NOTABLE


def json_of(entry: AuditEntry, source: Source) -> bytes:
    """Return an entry as `GET /audit/events` has it, with the record's id."""
    return msgspec.json.encode({"record": source.record, **msgspec.structs.asdict(entry)})


def ocsf_of(entry: AuditEntry, source: Source) -> bytes:
    """Return an entry as an event of OCSF."""
    return msgspec.json.encode(ocsf.event(entry, source.record, source.version))


def cef_of(entry: AuditEntry, source: Source) -> bytes:
    """Return an entry as a line of CEF."""
    severity = CEF_SEVERITY_NOTABLE if is_notable(entry) else CEF_SEVERITY
    header = ("Hansard", "Hansard", source.version, entry.type, entry.type.replace(".", " ").replace("_", " "))
    fields = {key: value for key, value in _extension(entry, source).items() if value is not None}
    extension = " ".join(f"{key}={str(value).translate(EXTENSION)}" for key, value in fields.items())
    head = "|".join(text.translate(HEADER) for text in header)
    return f"CEF:0|{head}|{severity}|{extension}".encode()


def _extension(entry: AuditEntry, source: Source) -> dict[str, Any]:
    labelled = {
        "recordId": source.record,
        "leafHash": entry.leaf_hash,
        "roomId": entry.room_id,
        "stream": f"{entry.stream}@{entry.version}",
        "data": msgspec.json.encode(entry.data).decode() if entry.data else None,
        "before": msgspec.json.encode(entry.before).decode() if entry.before else None,
    }
    return {
        "externalId": entry.position,
        "rt": int(entry.recorded_at.timestamp() * 1000),
        "act": entry.command or None,
        "suid": entry.actor,
        "duid": subject_of(entry),
        **_address(entry.address),
        "requestClientApplication": entry.agent,
        "reason": entry.reason,
        **{
            key: value
            for i, (label, text) in enumerate(labelled.items(), 1)
            if text is not None
            for key, value in ((f"cs{i}", text), (f"cs{i}Label", label))
        },
    }


def _address(address: str | None) -> dict[str, Any]:
    """Return the keys for an address: `src` takes IPv4 alone."""
    if address is None:
        return {}
    try:
        is_old = ip_address(address).version == 4
    except ValueError:
        return {"shost": address}
    return {"src": address} if is_old else {"c6a2": address, "c6a2Label": "Source IPv6 Address"}


def subject_of(entry: AuditEntry) -> str | None:
    """Return the id of the person whom an entry is about, where it names one."""
    return next((str(entry.data[name]) for name in ("user_id", "person") if entry.data.get(name)), None)


FORMATS: dict[Format, Callable[[AuditEntry, Source], bytes]] = {"json": json_of, "cef": cef_of, "ocsf": ocsf_of}
