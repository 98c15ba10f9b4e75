"""The check of wrapping keys: which of them wrap how many data keys, and which no data key needs any more."""

from adapters.key_file import read_key_files_secrets
from adapters.postgres.database import Database
from adapters.postgres.master_key import load_master
from adapters.postgres.rewrapping import WrappedBy, wrapped_by
from runtime.locations import database_url
from runtime.operators.wrapping import KEPT_DAYS
from runtime.settings import Settings


async def wrapping_keys(settings: Settings) -> str:
    if len(read_key_files_secrets(settings.master_key)) > 1:
        raise RuntimeError(
            f"{settings.master_key} holds two master keys: run 'hansard keys master rotate' again, which ends with one"
        )
    wrappings = load_master(settings.master_key, create=False).wrappings
    assert wrappings is not None, "a master key of a file has wrapping keys beside it"
    left = [key.version for key in wrappings.every()]
    db = await Database.open(database_url(settings), size=1)
    try:
        used = await wrapped_by(db)
    finally:
        await db.close()
    if lost := [each for each in used if each.version and each.version not in left]:
        raise RuntimeError(f"{_wrapping(lost)}, and is not in {wrappings.path}: put back the newest copy of it")
    if not left:
        return f"none; {_wrapping(used) or 'nothing is wrapped yet'}"
    if any(each.version < left[-1] for each in used):
        raise RuntimeError(
            f"{_wrapping(used)}: 'hansard keys rewrap' was broken off, or goes on; run it again if it does not"
        )
    idle = [str(version) for version in left[:-1]]
    unneeded = (
        f"; no data key needs {', '.join(idle)}: 'hansard keys rewrap' destroys {'it' if len(idle) == 1 else 'them'}, {KEPT_DAYS} days "
        "after the next was made; until then copies from before can be opened"
    )
    return f"{_wrapping(used) or 'nothing is wrapped yet'}{unneeded if idle else ''}"


def _wrapping(used: list[WrappedBy]) -> str:
    """Return a clause for each key, the newest first."""
    return ", ".join(
        f"{each.version or 'the master key alone'} wraps {each.count:,} data key{'' if each.count == 1 else 's'}"
        for each in used
    )
