"""Priority: work that nobody waits for gives way to who talks, where both want a processor; alone it is as fast as ever."""

import os
from contextlib import suppress
from pathlib import Path

NICE = 10
AUTOGROUP = Path("/proc/self/autogroup")  # sched(7): Linux may share processors out among sessions first


def give_way() -> None:
    """Let other processes go before this one and those that it starts. A session that is only its own gives way to other sessions."""
    if (lower := NICE - os.getpriority(os.PRIO_PROCESS, 0)) > 0:
        os.nice(lower)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            AUTOGROUP.write_text(str(NICE))
