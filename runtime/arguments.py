"""Arguments of the commands that take more than a choice: what they are called, and what is none.

argparse stays: it is loaded in 10 ms where click takes 37, and every command
is declared in a line or two either way.
"""

import argparse
import textwrap
from difflib import get_close_matches
from urllib.parse import urlsplit

from domain.rights import OPERATIONS


def describe_talk(saying: argparse.ArgumentParser, listening: argparse.ArgumentParser) -> None:
    """Say what `say` and `listen` take."""
    saying.add_argument("room", metavar="ROOM", help="its id, or its name")
    saying.add_argument("text", metavar="TEXT", help="what to say")
    listening.add_argument("room", metavar="ROOM", help="its id, or its name")
    listening.add_argument(
        "--after", type=_position, metavar="N", help="everything after this position; else from now on"
    )
    listening.add_argument("--json", action="store_true", help="print JSON, an event a line")
    for talking in (saying, listening):
        talking.add_argument("--email", required=True, help="who it is; the password is asked for, or HANSARD_PASSWORD")
        talking.add_argument(
            "--url", type=_url, help="the server's address; else that of HANSARD_HOST and HANSARD_PORT"
        )


def describe_explain(explaining: argparse.ArgumentParser) -> None:
    """Say what `explain` takes."""
    explaining.formatter_class = argparse.RawDescriptionHelpFormatter
    explaining.epilog = _operations()
    explaining.set_defaults(failure=2)
    explaining.add_argument("user", metavar="USER", help="who: an id, a name or an e-mail")
    explaining.add_argument("operation", metavar="OPERATION", type=_operation, help="what: one of those listed below")
    explaining.add_argument(
        "target", metavar="TARGET", nargs="?", help="the id of the room, message, file, session or user it is asked of"
    )
    explaining.add_argument("--whom", metavar="USER", help="with member.…: of whom it is asked")


def _operation(text: str) -> str:
    if text not in OPERATIONS:
        near = get_close_matches(text, OPERATIONS, n=1)
        hint = f"did you mean {near[0]}?" if near else "'hansard explain --help' lists them"
        raise argparse.ArgumentTypeError(f"{text!r} is no operation: {hint}")
    return text


def _operations() -> str:
    listed = textwrap.fill(", ".join(OPERATIONS), width=78, break_on_hyphens=False)
    return (
        f"operations:\n{listed}\n\ndocs/rights.md says which request is which, and who may what.\n"
        "exit codes: 0 allowed, 1 refused, 2 not judged (no such person, room, message or file)"
    )


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise argparse.ArgumentTypeError(f"{text!r} is no address like https://chat.example.com")
    return text


def _position(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no position: a whole number, from 0")
    return int(text)
