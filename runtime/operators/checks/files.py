"""Checks of what files need: the blob store, the scanner, and children that decode."""

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile

from adapters.clock import now
from adapters.media.sandbox import Sandbox
from adapters.media.scanner import open_scanner
from domain.ports.scanner import ScannerUnavailableError
from runtime.composition.resources import opened_blobs
from runtime.settings import Settings

SIGNATURES_DAYS_MAX = 7
# What may be missing where seccomp holds.
LAYERS = {
    "user": "a user of their own is given where root starts the worker",
    "landlock": "it comes with Linux 5.13, where it is switched on",
}
PICTURE = bytes.fromhex(  # a PNG of four pixels
    "89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a73000000164944415478"
    "9c63fccfc0c0c0c0c0c4c0c0c0c0c000000d1d01036ac29be90000000049454e44ae426082"
)


async def blobs(settings: Settings) -> str:
    if not settings.blobs_url and not settings.home.exists():
        raise RuntimeError(f"there is no folder {settings.home} yet; 'hansard up' makes it")
    async with AsyncExitStack() as stack:
        blobs = await opened_blobs(settings, stack)
        await blobs.ping()
    return "the blob store answers"


async def scanner(settings: Settings) -> str:
    scanner = open_scanner(settings.scanner_url)
    try:
        about = await scanner.about()
    except ScannerUnavailableError as error:
        raise RuntimeError(
            f"{settings.scanner_url}: {error} Until it does, uploads wait and nothing is shown"
        ) from error
    if not settings.scanner_url:
        return f"{about.name}; set HANSARD_SCANNER_URL to have files scanned"
    said = f"{about.name} at {settings.scanner_url}"
    if about.signatures_at is None:
        return f"{said}; it does not say how old its signatures are"
    days = (now() - about.signatures_at).days
    if days > SIGNATURES_DAYS_MAX:
        raise RuntimeError(f"{said} has signatures {days} days old: is freshclam running where it runs?")
    return f"{said}, signatures {max(days, 0)} days old"


async def sandbox(settings: Settings) -> str:
    """Have a child decode a picture, as a worker would have it done here."""
    with (
        Sandbox(module="workers.files.child", size=1, strict=settings.env == "production") as sandbox,
        NamedTemporaryFile() as file,
    ):
        file.write(PICTURE)
        file.flush()
        held_by = await sandbox.held_by()
        result = await sandbox.run("image", Path(file.name), mime_type="image/png", operations=("thumbnail",))
    if not result.made:
        raise RuntimeError(f"a child refuses a sound picture ({result.reason}): files cannot be processed here")
    if "seccomp" not in held_by:
        return (
            f"children are held by {', '.join(held_by)} only, which production refuses: "
            "install libseccomp2, on Linux 4.14 or newer"
        )
    missing = [f"{name}: {why}" for name, why in LAYERS.items() if name not in held_by]
    said = f"children decode, and are held by {', '.join(held_by)}"
    return f"{said} (not by {'; not by '.join(missing)})" if missing else said
