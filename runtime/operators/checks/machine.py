"""Checks of this machine: its disk, who may read the secrets, the certificate, and the interpreter."""

import shutil
import sys
from datetime import timedelta
from pathlib import Path

from adapters.clock import now
from adapters.credentials.certificates import ends, fault
from gateway.server.tls import server_context
from runtime.interpreter import outdated
from runtime.settings import Settings
from runtime.startup_checks import lax

FREE_BYTES_MIN = 1024**3
CERTIFICATE_LEFT_MIN = timedelta(days=14)


async def disk(settings: Settings) -> str:
    home = settings.home if settings.home.exists() else Path.cwd()
    free = shutil.disk_usage(home).free
    if free < FREE_BYTES_MIN:
        raise RuntimeError(f"only {free / 1024**2:,.0f} MiB are free where {home} lies; Postgres needs room")
    return f"{free / 1024**3:,.1f} GiB free"


async def modes(settings: Settings) -> str:
    if found := [f"chmod {private:o} {path}" for path, private in lax(settings)]:
        raise RuntimeError(f"others of this machine may read or change what is a secret: {'; '.join(found)}")
    return "keys and home are open to nobody else"


async def tls(settings: Settings) -> str:
    if not settings.has_tls:
        return "ended by a proxy, or by nobody"
    server_context(settings.tls_certificate, settings.tls_key)
    if wrong := fault(settings.tls_certificate, now()):
        raise RuntimeError(f"{settings.tls_certificate} {wrong}")
    left = ends(settings.tls_certificate) - now()
    if left < CERTIFICATE_LEFT_MIN:
        raise RuntimeError(
            f"{settings.tls_certificate} ends in {left.days} days: renew it, and start the gateway again"
        )
    return f"{settings.tls_certificate}, for {left.days} more days"


async def interpreter(settings: Settings) -> str:
    running = sys.version.partition(" ")[0]
    if old := outdated(sys.version_info):
        return f"WARNING: Python {running}: {old}"
    return f"Python {running}"
