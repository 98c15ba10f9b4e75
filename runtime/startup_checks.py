"""Guards: checks before a process starts, because afterwards it is too late. `runtime/login_checks.py` checks the
log-in.

The master key opens the record, and the home holds mails, uploads and the embedded servers: no other user of the
machine may read or change them. In production a file mode that is too open stops the start, with a sentence that says
what to do. Elsewhere it is mended if the file is ours, and logged either way.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from adapters.notary.memory import NOTARY_KEY
from domain.errors import SetupError
from runtime.settings import SettingRefusedError, Settings

log = structlog.get_logger()

OTHERS, OTHERS_WRITE = 0o077, 0o022
# What another account's group may not do with a key that root holds out to us: write or run it, and others nothing.
BEYOND_GROUP_READ = 0o037


class InsecureSettingsError(SetupError):
    """Others of this machine may read or change what is a secret; the sentence says what to do."""


def guard(settings: Settings) -> None:
    """Check keys and home. Raise `InsecureSettingsError` in production; elsewhere mend what can be mended, and log it."""
    with suppress(OSError):
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, private in lax(settings):
        mode = f"{_mode(path):04o}"
        if settings.env == "production":
            raise InsecureSettingsError(
                f"{path} is open to others of this machine (mode {mode}): chmod {private:o} it."
            )
        try:
            path.chmod(private)
            log.warning("a mode was mended", path=str(path), was=mode, now=f"{private:04o}")
        except OSError:
            log.warning("others may read or change this: have its owner mend it", path=str(path), mode=mode)


def guard_gateway(settings: Settings) -> None:
    """Check how clients reach a gateway: in production over TLS, with a certificate that they can trust."""
    if settings.env != "production":
        return
    if not settings.has_tls and not settings.trusted_proxies:
        raise SettingRefusedError(
            "HANSARD_TLS_CERTIFICATE and HANSARD_TLS_KEY must be set when HANSARD_ENV is production, or "
            "HANSARD_TRUSTED_PROXIES where a proxy ends TLS in front of the gateway."
        )
    if settings.has_tls and (wrong := _fault_of(settings.tls_certificate)):
        raise SettingRefusedError(f"HANSARD_TLS_CERTIFICATE {wrong}; HANSARD_ENV is production.")


def lax(settings: Settings) -> Iterator[tuple[Path, int]]:
    """Yield each path that others may read or change, with the mode that it should have."""
    if settings.home.is_dir() and _mode(settings.home) & OTHERS:
        yield settings.home, 0o700
    keys = [settings.master_key, settings.notary / NOTARY_KEY, *([settings.tls_key] if settings.has_tls else [])]
    for key in keys:
        if key.is_file() and _is_lax(key):
            yield key, 0o600
    for folder in {key.resolve().parent for key in keys} - {settings.home.resolve()}:
        # Who may write into a folder may put another key in the key's place (a sticky folder keeps them from it).
        if folder.is_dir() and _mode(folder) & OTHERS_WRITE and not _mode(folder) & stat.S_ISVTX:
            yield folder, 0o700


def _is_lax(key: Path) -> bool:
    """Return whether others may read a key. A key that belongs to root may be readable by this process's group (as in
    libpq)."""
    owner = key.stat().st_uid
    return bool(_mode(key) & (BEYOND_GROUP_READ if owner == 0 != os.geteuid() else OTHERS))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _fault_of(certificate: Path) -> str | None:
    """Judge a certificate. X.509 is loaded only where there is one: it would be 2 MB of each process."""
    from adapters.credentials.certificates import fault

    return fault(certificate, datetime.now(UTC))
