"""Which tables are backed up, and which are not: those are made anew, or would be wrong in a record that was restored.

Whole schemas are left out, too: `read` (and whatever begins with it) is rebuilt from the record, and what `files` holds is only
about what is under way. `notify` begins at the end of what was restored: what was said before is told to nobody. A new table of
the others is backed up, unless it is named here.
"""

RECORD_SCHEMAS = ["record", "notary"]
KEY_SCHEMAS = ["vault"]
LEFT_OUT = {
    "record.identity": "a restored record has an id of its own, as its positions will be used for something else",
    "record.append_lock": "it is always empty",
    "record.queued_batches": "what waits there has no answer yet",
    "record.snapshots": "short cuts, made anew from the events",
    "notary.tiles": "made anew from the events",
    "vault.wrapping": "which wrapping key is in use says the next time that keys are wrapped anew",
    "vault.signing_keys": "a new key is made at the first start: one that was retired since must not come back",
}
EVENTS = "record.events"
RECORD, KEYS, DESTROYED = "record", "keys", "destroyed"  # of a backup: the dumps, and the list of destroyed keys
