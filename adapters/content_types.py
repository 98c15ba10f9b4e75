"""What bytes are, by themselves: never by a name, never by what a client says of them.

puremagic knows some hundreds of signatures. What it cannot tell is text where it reads as text, else just bytes.
"""

import codecs
import re

import puremagic

HEAD_BYTES = 64 * 1024
UNKNOWN, TEXT, ZIP = "application/octet-stream", "text/plain", "application/zip"
# What browsers would run if it came as text.
MARKUP = re.compile(
    rb"\s*<(?:!doctype|!--|\?xml|html|head|body|script|svg|iframe|img|style|title|a |b>|h1|p>|br)", re.I
)
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")


def kind_of(head: bytes) -> str:
    """Return the media type of a file that begins with these bytes (its first `HEAD_BYTES`, or all of it)."""
    if head.startswith(b"PK\x03\x04"):
        return ZIP  # documents of office programs are archives too; which one, only their content would tell
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        found = []
    named = [match.mime_type for match in found if match.mime_type and "/" in match.mime_type]
    if named and named[0] != TEXT:
        return str(named[0])
    if MARKUP.match(head.removeprefix(codecs.BOM_UTF8)):
        return "text/html"
    return TEXT if _reads_as_text(head) else UNKNOWN


def _reads_as_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not CONTROLS.search(text)
