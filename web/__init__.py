"""The page that a gateway shows at `/`: HTML, styles and ES modules, served as they stand here. This module says where they are."""

from pathlib import Path

PAGE = Path(__file__).parent
# The client library that the page loads: in an installed package beside it, in a checkout where it is developed.
LIBRARY = "hansard-client"


def folders() -> dict[str, Path]:
    """Return the folders of the page's files, by the prefix of their names."""
    installed = PAGE / LIBRARY
    checkout = PAGE.parent / "clients" / "javascript" / LIBRARY
    return {"": PAGE, f"{LIBRARY}/": installed if installed.is_dir() else checkout}
