"""Entries as events of the Open Cybersecurity Schema Framework, 1.8.0 (schema.ocsf.io), without profiles.

Log-ins and log-outs are Authentication (3002), what happens to accounts is Account Change (3001), all else Entity Management (3004).
The profile `record_integrity` comes with 1.9: there an attestation is signed over the event as OCSF writes it, while the record's
notary signs a tree whose leaf is the row as it is stored. So the leaf stands under `unmapped.record_integrity`, with the names
of an attestation (`authority_uid`, `chain_uid`, `uid`, `fingerprint`), and claims no more than that.
"""

from typing import Any, NamedTuple

from adapters.postgres.audit import AuditEntry
from domain.ids import RecordId
from domain.tree_head import origin_of

VERSION = "1.8.0"
IDENTITY = 3  # the category Identity & Access Management
ACCOUNT_CHANGE, AUTHENTICATION, ENTITY_MANAGEMENT = 3001, 3002, 3004
INFORMATIONAL, MEDIUM = 1, 3
SUCCESS = 1
SHA_256, OTHER = 3, 99
CREATE, READ, UPDATE, DELETE = 1, 2, 3, 4


class Class(NamedTuple):
    uid: int
    activity: int


# Where the verb of a topic does not say it.
CLASSES: dict[str, Class] = {
    "session.opened": Class(AUTHENTICATION, 1),
    "session.ended": Class(AUTHENTICATION, 2),
    "account.registered": Class(ACCOUNT_CHANGE, 1),
    "account.activated": Class(ACCOUNT_CHANGE, 2),
    "account.password_changed": Class(ACCOUNT_CHANGE, 3),
    "account.deactivated": Class(ACCOUNT_CHANGE, 5),
    "account.role_granted": Class(ACCOUNT_CHANGE, 7),
    "account.role_revoked": Class(ACCOUNT_CHANGE, 8),
}
VERBS = {
    "read": READ, "opened": CREATE, "posted": CREATE, "received": CREATE, "joined": CREATE, "added": CREATE, "pinned": CREATE,
    "followed": CREATE, "subscribed": CREATE, "requested": CREATE, "asked": CREATE, "put": UPDATE, "changed": UPDATE,
    "edited": UPDATE, "marked": UPDATE, "role_changed": UPDATE, "owners_changed": UPDATE, "settings_changed": UPDATE,
    "deleted": DELETE, "removed": DELETE, "left": DELETE, "unpinned": DELETE, "unfollowed": DELETE, "unsubscribed": DELETE,
}  # fmt: skip


def event(entry: AuditEntry, record: RecordId, version: str) -> dict[str, Any]:
    """Return an entry as an event. Fields that say nothing are left out."""
    kind = _class(entry)
    made: dict[str, Any] = {
        "category_uid": IDENTITY,
        "class_uid": kind.uid,
        "activity_id": kind.activity,
        "type_uid": kind.uid * 100 + kind.activity,
        "severity_id": MEDIUM if entry.type == "security.refusals_counted" else INFORMATIONAL,
        "status_id": SUCCESS,
        "time": int(entry.recorded_at.timestamp() * 1000),
        "message": entry.type,
        "metadata": {
            "version": VERSION,
            "product": {"name": "Hansard", "vendor_name": "Hansard", "version": version},
            "uid": f"{record}/{entry.position}",
            "sequence": entry.position,
            "event_code": entry.type,
            "log_name": origin_of(record),
            "correlation_uid": entry.correlation,
        },
        "actor": _actor(entry),
        "src_endpoint": {"ip": entry.address} if entry.address else None,
        "unmapped": _unmapped(entry, record),
    }
    if kind.activity == OTHER:
        made["activity_name"] = entry.type
    made |= _about(entry, kind)
    return _without_nothing(made)


def _class(entry: AuditEntry) -> Class:
    if entry.type in CLASSES and (entry.type.startswith("session.") or _user(entry) is not None):
        return CLASSES[entry.type]
    topic, _, verb = entry.type.partition(".")
    if topic == "account" and _user(entry) is not None:
        return Class(ACCOUNT_CHANGE, OTHER)
    return Class(ENTITY_MANAGEMENT, VERBS.get(verb, OTHER))


def _about(entry: AuditEntry, kind: Class) -> dict[str, Any]:
    """Return what an event of its class is about: a user, or an entity."""
    if kind.uid == ENTITY_MANAGEMENT:
        topic = entry.type.partition(".")[0]
        named = (entry.data.get(f"{topic}_id"), entry.room_id, entry.stream)
        uid = next(str(each) for each in named if each is not None)
        entity = {"uid": uid, "type": topic, "version": str(entry.version)}
        return {"entity": entity, "entity_result": dict(entity) if kind.activity == UPDATE else None}
    user = {"uid": _user(entry) or str(entry.actor or entry.stream)}
    if kind.uid == AUTHENTICATION:
        return {"user": user, "service": {"name": "Hansard"}, "session": {"uid": str(entry.session or entry.stream)}}
    return {"user": user}


def _user(entry: AuditEntry) -> str | None:
    return str(entry.data["user_id"]) if entry.data.get("user_id") else None


def _actor(entry: AuditEntry) -> dict[str, Any]:
    if entry.actor is None:
        return {"app_name": "Hansard"}
    return {
        "user": {"uid": str(entry.actor)},
        "session": {"uid": str(entry.session)} if entry.session else None,
        "app_name": entry.agent,
    }


def _unmapped(entry: AuditEntry, record: RecordId) -> dict[str, Any]:
    return {
        "stream": str(entry.stream),
        "version": entry.version,
        "room_id": None if entry.room_id is None else str(entry.room_id),
        "command": entry.command,
        "reason": entry.reason,
        "causation": entry.causation,
        "data": entry.data,
        "before": entry.before,
        "is_erased": entry.erased,
        "record_integrity": {
            "authority_uid": origin_of(record),
            "chain_uid": str(record),
            "uid": str(entry.position),
            "fingerprint": {"algorithm_id": SHA_256, "algorithm": "SHA-256", "value": entry.leaf_hash},
        },
    }


def _without_nothing(made: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is null, below as well; what was recorded stays as it is."""
    return {
        name: _without_nothing(value) if isinstance(value, dict) and name not in ("data", "before") else value
        for name, value in made.items()
        if value is not None
    }
