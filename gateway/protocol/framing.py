"""Framing: payloads to whole WebSocket frames (RFC 6455 5.2).

A server's frames are not masked (RFC 6455 5.1), so header and payload are built once and the same bytes go to every
listener.
"""

FINAL_TEXT = 0x81  # FIN and the opcode of a text frame


def text_frame(payload: bytes) -> bytes:
    """Return a whole text frame, ready to be written to any socket."""
    size = len(payload)
    if size < 126:
        return bytes((FINAL_TEXT, size)) + payload
    if size < 65_536:
        return bytes((FINAL_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((FINAL_TEXT, 127)) + size.to_bytes(8, "big") + payload


def with_prev(frame: bytes, prev: int, new_prev: int) -> bytes:
    """Return a copy of a room's frame that names another event as the one before it."""
    payload = frame[2 if frame[1] < 126 else 4 if frame[1] == 126 else 10 :]
    # `prev` stands before everything that people write (`projections/frames.py`).
    return text_frame(payload.replace(b'"prev":%d,' % prev, b'"prev":%d,' % new_prev, 1))
