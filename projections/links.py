"""Links in messages: which addresses may become one, and where an address in running text ends.

Only what names a host over http or https, or a mailbox, may: a relative address would lead into the client's own pages,
and other schemes run code or open programs. Where it ends is GFM's rule (6.9, "Autolinks (extension)").
"""

import re
from ipaddress import IPv4Address, IPv6Address
from unicodedata import normalize

# Candidates: up to white space or what no address contains; a bracket belongs to one that opens and closes it. Full stops
# and commas of CJK text end it too: no space follows them there.
BARE = r"(?<![A-Za-z0-9+])https?://(?:[^\s<>\"`\[\]，。；、」』】》]++|\[[^\s<>\"`\[\]]*+\])++"
IN_DESTINATION = r"(?<=\]\()https?://(?:[^\s<>\"`()]++|\([^\s<>\"`()]*+\))++(?=\))"  # of `[text](address)`: all of it
TRAILING = "?!.,:;*_~'\"”’»…！？：）"
HTTP = re.compile(
    r"https?://([^\s/?#\\@\[\]:%]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?:[/?#][^\s\\<>\"`]*)?", re.IGNORECASE
)
MAILBOX = re.compile(r"mailto:[^\s\\<>\"`@:/?#%,]+@([^\s\\<>\"`@:/?#%,\[\]]+)()(?:\?[^\s\\<>\"`]*)?", re.IGNORECASE)
LABEL = r"[^\x00-,/:-@\[-^`{-\x7f.]+"  # of ASCII, letters, digits, "-" and "_" alone
HOST = re.compile(rf"{LABEL}(?:\.{LABEL})*\.?")
NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)  # what browsers take for an IPv4 address
JOINERS = str.maketrans("", "", "\u200c\u200d")  # Persian, Sinhala and emoji are spelled with them
ENTITY = re.compile(r"&[A-Za-z]+;")
ENTITY_CHARS_MAX = 33  # the longest of HTML
PORT_MAX = 65_535
HOST_CHARS_MAX = 253  # RFC 1035


def is_safe(address: str) -> bool:
    """Whether an address is absolute http or https with a host and without a user, or a mailbox, and hides nothing."""
    found = HTTP.fullmatch(address) or MAILBOX.fullmatch(address)
    if found is None or not (address if address.isascii() else address.translate(JOINERS)).isprintable():
        return False
    return len(found[1]) <= HOST_CHARS_MAX and _is_host(found[1]) and int(found[2] or 0) <= PORT_MAX


def _is_host(host: str) -> bool:
    try:
        if host.startswith("["):
            return bool(IPv6Address(host[1:-1]))
        # A browser folds the host first: "℀" would become "a/c", and end it.
        host = normalize("NFKC", host)
        if NUMERIC.fullmatch(host):
            return bool(IPv4Address(host.rstrip(".")))
    except ValueError:
        return False
    return HOST.fullmatch(host) is not None and any(c.isalnum() for c in host)


def length_of(candidate: str) -> int:
    """Return how much of a candidate is the address: without punctuation at its end, and brackets not opened in it."""
    end, surplus = len(candidate), candidate.count(")") - candidate.count("(")
    while end:
        last = candidate[end - 1]
        if last == ";" and (start := _entity(candidate, end)) >= 0:
            end = start
        elif last in TRAILING:
            end -= 1
        elif last == ")" and surplus > 0:
            end, surplus = end - 1, surplus - 1
        else:
            break
    return end


def _entity(text: str, end: int) -> int:
    """Return where the entity begins that ends there; -1 for none."""
    start = text.rfind("&", max(0, end - ENTITY_CHARS_MAX), end)
    return start if start >= 0 and ENTITY.fullmatch(text, start, end) else -1
