"""The witnesses that the settings name: folders, buckets, and witnesses that cosign."""

import re
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from adapters.notary.memory import WitnessFolder
from adapters.notary.places import FolderPlace
from domain.errors import SetupError
from domain.ports.witnesses import WitnessPlace
from domain.tree_head import COSIGNATURE, NoteUnreadableError, VerifierKey, read_key
from runtime.settings import Settings

COSIGNING = re.compile(r"(\S+\+[0-9a-f]{8}\+\S+)\s+(https?://\S+)")


class WitnessUnreadableError(SetupError):
    """HANSARD_WITNESSES, or HANSARD_WITNESS_QUORUM, is not what it can be."""


async def open_witnesses(settings: Settings, stack: AsyncExitStack) -> list[WitnessPlace]:
    """Open all witnesses; none is connected to yet. Raise `WitnessUnreadableError`."""
    folder = [str(settings.witness_folder)] if settings.witness_folder.parts else []
    places = [await _opened(settings, text) for text in (*settings.witnesses, *folder)]
    for place in places:
        stack.push_async_callback(place.close)
    if settings.witness_quorum > len(places):
        raise WitnessUnreadableError(
            f"HANSARD_WITNESS_QUORUM is {settings.witness_quorum}, and HANSARD_WITNESSES names {len(places)}."
        )
    return places


def cosigners(settings: Settings) -> list[VerifierKey]:
    """Return the keys of the witnesses that cosign. Raise `WitnessUnreadableError`."""
    return [_key(found[1]) for text in settings.witnesses if (found := COSIGNING.fullmatch(text))]


async def _opened(settings: Settings, text: str) -> WitnessPlace:
    if text.startswith("/"):
        return FolderPlace(WitnessFolder(Path(text)), text)
    if text.startswith("s3://"):
        from adapters.notary.bucket import BucketPlace  # S3's client is a quarter of a start

        parts = urlsplit(text)
        return await BucketPlace.open(
            bucket=parts.netloc,
            prefix=parts.path.strip("/"),
            days=settings.witness_lock_days,
            endpoint=settings.witness_s3_endpoint,
        )
    found = COSIGNING.fullmatch(text)
    if found is None:
        raise WitnessUnreadableError(
            f"HANSARD_WITNESSES has {text!r}; a witness is /a/folder, s3://bucket/prefix, or 'KEY https://address'."
        )
    from adapters.notary.http_witness import HttpWitness

    return HttpWitness(found[2], _key(found[1]))


def _key(text: str) -> VerifierKey:
    try:
        return read_key(text, COSIGNATURE)
    except NoteUnreadableError as error:
        raise WitnessUnreadableError(f"HANSARD_WITNESSES has a key that is none of a witness: {error}") from None
