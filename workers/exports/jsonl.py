"""JSON Lines: an item a line, as `workers/exports/conversation.py` says it, with the names of people beside their ids."""

import msgspec

from workers.exports.archive import Fragment
from workers.exports.conversation import Chunk

_encode = msgspec.json.Encoder(order="sorted").encode


def write(chunk: Chunk, fragment: Fragment) -> None:
    """Write a chunk."""
    with fragment.member(f"jsonl/{chunk.stem}.jsonl", chunk.last) as writer:
        for item in chunk.items:
            line = msgspec.to_builtins(item)
            line["names"] = {str(user_id): chunk.shown(user_id) for user_id in sorted(item.people)}
            writer.write(_encode(line) + b"\n")
