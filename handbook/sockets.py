"""The socket reference: the server's AsyncAPI document as one Markdown page."""

import json
from collections.abc import Iterator

from handbook.schemas import Json, every, linked, name_of, table

# AsyncAPI speaks from the server's side; readers of this page are clients.
ACTIONS = {"receive": "Frames that a client sends", "send": "Frames that the server sends"}


def page(document: Json) -> str:
    """Return the whole page."""
    return "\n".join([*_opening(document), *_frames(document), *_closing(document)]) + "\n"


def _opening(document: Json) -> Iterator[str]:
    yield f"# Socket reference\n\n{document['info']['description']}\n"
    yield "This page is made from the AsyncAPI document that the server itself answers at `/asyncapi.json`.\n"
    for channel in document["channels"].values():
        yield f"## `{channel['address']}`: {channel['title'].lower()}\n\n{channel['description']}\n"
        closing = [
            (str(code["number"]), code["name"], code["sentence"], "come back" if code["comes_back"] else "stay away")
            for code in channel["x-close-codes"]
        ]
        yield from table(("close code", "name", "meaning", "then"), closing)


def _frames(document: Json) -> Iterator[str]:
    """Yield a section for each direction. Every channel has the same operations: those of the first are shown."""
    first = next(iter(document["channels"]))
    for action, title in ACTIONS.items():
        yield f"## {title}\n"
        for operation in document["operations"].values():
            if operation["action"] == action and name_of(operation["channel"]["$ref"]) == first:
                for message in operation["messages"]:
                    name = name_of(message["$ref"])
                    yield from _frame(document["components"]["messages"][name], operation.get("x-answered-with", ()))


def _frame(message: Json, answered_with: list[str]) -> Iterator[str]:
    yield f"### Frame `{message['name']}`\n\n{message['summary']}\n"
    yield f"Fields: {linked(name_of(message['payload']['$ref']))}.\n"
    if answered_with:
        yield f"Its `reply` has {', '.join(f'`{name}`' for name in answered_with)}.\n"
    for example in message.get("examples", ()):
        yield f"```json\n{json.dumps(example['payload'], indent=2, ensure_ascii=False)}\n```\n"


def _closing(document: Json) -> Iterator[str]:
    yield "## Schemas\n"
    yield from every(document["components"]["schemas"])
