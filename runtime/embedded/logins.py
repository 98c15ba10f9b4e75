"""The log-ins of the embedded Postgres: each process has one of its own, with a password, over the private socket.

All passwords are derived from one secret, a file of mode 0600 in the home. Whoever may read it can be any log-in, so
each process is handed only its own URL. Coming over the socket is no reason for trust. The owner's password is set in
single-user mode, with no server running, so there is no moment at which somebody could connect without one; the other
log-ins are made by the migrations (`runtime/roles.py`).
"""

import os
from hmac import digest
from pathlib import Path
from tempfile import mkstemp

SECRET_FILE = "logins.secret"  # noqa: S105 – its name
SECRET_BYTES = 32
OWNER = "postgres"
# Everybody over the Unix socket, with a password; nobody else, and no replication.
HBA = "local all all scram-sha-256\n"
SET_OWNERS = "ALTER ROLE postgres PASSWORD '{}'\n"


def password_of(secret: bytes, name: str) -> str:
    """Return the password of a log-in (HMAC-SHA-256 of its name)."""
    return digest(secret, b"hansard log-in " + name.encode(), "sha256").hex()


def read_secret(home: Path) -> bytes | None:
    """Return the secret of a home; None if it has none (that can be read) yet."""
    try:
        secret = bytes.fromhex((home / SECRET_FILE).read_text().strip())
    except (FileNotFoundError, ValueError):
        return None
    return secret if len(secret) == SECRET_BYTES else None


def write_secret(home: Path, secret: bytes) -> None:
    """Write the secret, whole or not at all; called when the owner's password is set."""
    handle, draft = mkstemp(dir=home, prefix=f"{SECRET_FILE}.")  # of mode 0600
    with os.fdopen(handle, "w") as file:
        file.write(secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, home / SECRET_FILE)


def forget_secret(home: Path) -> None:
    (home / SECRET_FILE).unlink(missing_ok=True)


def owners_statement(secret: bytes) -> bytes:
    """Return the statement for single-user mode, in one line."""
    return SET_OWNERS.format(password_of(secret, OWNER)).encode()
