"""Which release of Python this is, compared with the newest of its line that was known when this version was made.

CPython's old lines get security fixes only, so the newest release of a line is the newest security release. Releases
after `AS_OF` are not known here: follow python.org's announcements, and rebuild the image.
"""

from collections.abc import Sequence
from datetime import date

AS_OF = date(2026, 11, 27)
NEWEST = {(3, 11): 18, (3, 12): 16, (3, 13): 18, (3, 14): 10, (3, 15): 2}


def outdated(running: Sequence[object]) -> str:
    """Return what to do about this interpreter (`sys.version_info`); empty if nothing is to be done."""
    major, minor, patch = (int(str(part)) for part in running[:3])
    newest = NEWEST.get((major, minor))
    if newest is None:
        known = ", ".join(f"{one}.{two}" for one, two in NEWEST)
        return f"a line that was not known on {AS_OF}; mends of security are known here for {known}"
    if patch < newest:
        return f"{major}.{minor}.{newest} mends known flaws (known on {AS_OF}): take it, or the image that has it"
    return ""
