"""`hansard witness`: cosigns the checkpoints of other people's records (C2SP tlog-witness). It needs a folder, and no database.

Run it where the operators of those records have no say. What it has seen is kept in its folder: a witness that lost it would
cosign anything once, so it makes a key and a folder only together.
"""

import argparse
import time
from pathlib import Path

import structlog

from adapters.notary.cosigner import Cosigner
from adapters.notary.key import NotaryKeyError, make_notary_secret, read_notary_secret
from adapters.notary.memory import held, write_whole
from adapters.notary.witnessed import WitnessedLogs
from domain.errors import SetupError
from domain.tree_head import NoteUnreadableError, VerifierKey, read_key
from runtime.command import Command, MisusedError
from runtime.loops import stop_signal
from runtime.settings import LISTEN, Settings
from runtime.witness_listener import witness_listener
from workers.cosigning import LogWitness

KEY, NAME, LOGS = "witness.key", "witness.vkey", "logs"

log = structlog.get_logger()


class WitnessFolderError(SetupError):
    """The witness's folder is not what it left; the sentence says what to do."""


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Cosign until told to stop."""
    address = LISTEN.fullmatch(asked.listen)
    if address is None:
        raise MisusedError(f"--listen is HOST:PORT, not {asked.listen!r}.")
    stop = stop_signal()
    with held(asked.folder, what="witness"):
        cosigner = _cosigner(asked.folder, asked.name)
        keys = _logs(asked.folder, asked.log)
        if not keys:
            raise MisusedError("Name the key of a log to follow: --log VKEY, which its operator prints.")
        witness = LogWitness(cosigner, keys, WitnessedLogs(asked.folder), lambda: int(time.time()))
        async with witness_listener(address[1] or address[2], int(address[3]), witness) as port:
            log.info("this witness's key is this", key=str(cosigner.verifier), port=port, logs=[k.name for k in keys])
            await stop.wait()
    return 0


def _cosigner(folder: Path, name: str | None) -> Cosigner:
    """Return the witness's key; it is made the first time, with its name. Raise `WitnessFolderError`."""
    secret = read_notary_secret(folder / KEY)
    is_known = (folder / NAME).exists()
    if (secret is None) == is_known:
        raise WitnessFolderError(
            f"In {folder} one of {KEY} and {NAME} is missing: put back the copy that you kept, or begin with an empty folder, "
            "as another witness."
        )
    if secret is None:
        if not name:
            raise MisusedError("Give the witness a name for ever: --name witness.example.com/1.")
        cosigner = Cosigner(make_notary_secret(folder / KEY), name)
        try:
            read_key(str(cosigner.verifier), cosigner.verifier.kind)
        except NoteUnreadableError:
            raise NotaryKeyError("A witness's name has neither space nor plus.") from None
        write_whole(folder / NAME, f"{cosigner.verifier}\n")
        return cosigner
    kept = (folder / NAME).read_text().strip()
    cosigner = Cosigner(secret, kept.partition("+")[0])
    if str(cosigner.verifier) != kept or name not in (None, cosigner.verifier.name):
        raise WitnessFolderError(f"The key in {folder} is that of {kept}, and not of this name.")
    return cosigner


def _logs(folder: Path, added: list[str]) -> list[VerifierKey]:
    """Return the keys of the logs that are followed: those that were named at any start. Raise `MisusedError`."""
    path = folder / LOGS
    lines = [*(path.read_text().split() if path.exists() else ()), *added]
    try:
        keys = list(dict.fromkeys(read_key(line) for line in lines))
    except NoteUnreadableError as error:
        raise MisusedError(f"A log's key cannot be read: {error}") from None
    if added:
        write_whole(path, "".join(f"{key}\n" for key in keys))
    return keys


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, required=True, help="where its key is, and what it has seen")
    parser.add_argument("--listen", default="127.0.0.1:9470", help="host and port (127.0.0.1:9470)")
    parser.add_argument("--name", help="its name, for ever: an address without https://, the first time")
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        help="the key of a log to follow from now on; may be repeated, also for a log that changed its key",
    )


COMMAND = Command(run, _describe)
