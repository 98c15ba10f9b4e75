"""Addresses: the paths that stand in frames and in the bodies of answers.

A frame is encoded once, far from the routes, and its bytes are part of the contract; so are the few paths in it. A gateway
that has no route for one of `IN_FRAMES` does not start (`gateway/app.py`).
"""

from uuid import UUID

API = "/api/v1"
FILE_VARIANT = API + "/files/{file_id}/variants/{name}"
IN_FRAMES = (("GET", FILE_VARIANT),)


def of_variant(file_id: UUID, name: str) -> str:
    """Return the address of a file's variant."""
    return f"{API}/files/{file_id}/variants/{name}"
