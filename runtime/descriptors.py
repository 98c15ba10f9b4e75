"""Descriptors: how many files and connections this process may hold, and how many of them are for clients."""

import resource
from contextlib import suppress

DESCRIPTORS_MAX = (
    1024 * 1024
)  # some containers say a thousand times as many, and what walks through all of them is slow
# A download holds its file beside its connection; servers, uploads and logs have theirs.
CLIENTS_SHARE = 3 / 4
OTHERS = 64


def raise_limit() -> None:
    """Raise the limit of open descriptors as far as the machine allows; the default is low, for the sake of old
    programs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # some systems have a smaller bound of their own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connections_max() -> int:
    """Return how many client connections the descriptors of this process suffice for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = DESCRIPTORS_MAX if soft == resource.RLIM_INFINITY else min(soft, DESCRIPTORS_MAX)
    return max(1, int(descriptors * CLIENTS_SHARE) - OTHERS)
