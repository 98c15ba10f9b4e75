"""Addresses that clients are told: paths of the contract which stand inside of what is read, and in frames.

A frame is encoded once, far from the routes, and its bytes are part of the contract; so the few paths in it are values of
the contract too. A gateway does not start unless it answers each of `TOLD` (`gateway/app.py`).
"""

from uuid import UUID

API = "/api/v1"
FILE_VARIANT = API + "/files/{file_id}/variants/{name}"
IN_FRAMES = (("GET", FILE_VARIANT),)


def of_variant(file_id: UUID, name: str) -> str:
    """Return the address of a file's variant."""
    return f"{API}/files/{file_id}/variants/{name}"
