"""The check of the master key: whether this record's keys were made under it.

The vault holds a known text that the first process wrapped. A record of an earlier release has none: there a data key
is tried instead, and the text is stored from then on.
"""

from pathlib import Path

from adapters.postgres.data_keys import StoredKey
from adapters.postgres.master_key import Master, MasterKeyWrongError
from domain.ports.database import Db

SELECT_CHECK = "SELECT wrapped FROM vault.master_check"
INSERT_CHECK = "INSERT INTO vault.master_check (wrapped) VALUES ($1) ON CONFLICT (one_row) DO NOTHING"
SELECT_ANY_KEY = """
    SELECT key_id, wrapped, wrapped_with FROM vault.data_keys WHERE wrapped IS NOT NULL AND wrapped_with = 0 LIMIT 1
"""
SELECT_ROOT = "SELECT wrapped FROM vault.master_root"
ROOT = b"hansard master root"
TEXT, NAME = b"This is the master key of this record.", b"hansard master check"


async def require_right(db: Db, master: Master, path: Path, *, keep: bool) -> None:
    """Raise `MasterKeyWrongError` if the record's keys were made under another master key. With `keep`, store the known text
    for next time; have it go on with the secrets of the first master key of the record. If two processes bring different keys to an empty vault, the first one's is right."""
    try:
        checked = await db.value(SELECT_CHECK)
        if checked is None:
            if (sample := await db.one(StoredKey, SELECT_ANY_KEY)) is not None:
                assert sample.wrapped is not None, "the statement looks for one that is not destroyed"
                master.unwrap_data_key(sample.wrapped, str(sample.key_id))
            if not keep:
                return
            await db.run(INSERT_CHECK, master.wrap(TEXT, name=NAME))
            checked = await db.value(SELECT_CHECK)
        master.unwrap(checked, name=NAME)
        if (root := await db.value(SELECT_ROOT)) is not None:
            master.adopt(master.unwrap(root, name=ROOT))
    except MasterKeyWrongError:
        raise MasterKeyWrongError(
            f"The master key at {path} is not the one of this record: its keys were made under another, and nothing else "
            "opens them. Put back the copy that you kept (docs/backup.md), or begin afresh with an empty database."
        ) from None
