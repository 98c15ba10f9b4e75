"""A rebuild gives way to who talks, and never takes more than it had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GIVES_WAY = """
import os
from runtime.priority import AUTOGROUP, NICE, give_way
os.nice({before})
give_way()
give_way()
print(os.getpriority(os.PRIO_PROCESS, 0), AUTOGROUP.exists() and f"nice {{NICE}}" in AUTOGROUP.read_text())
"""


@pytest.mark.parametrize("before", [0, 15])
@pytest.mark.parametrize("is_leader", [True, False])
def test_a_rebuild_gives_way_once_and_its_session_only_if_that_is_its_own(before: int, is_leader: bool) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    said = subprocess.run(
        [sys.executable, "-c", GIVES_WAY.format(before=before)],
        cwd=ROOT, capture_output=True, text=True, check=True, start_new_session=is_leader,
    ).stdout.split()  # fmt: skip
    assert int(said[0]) == min(19, max(10, own + before))
    if Path("/proc/self/autogroup").exists():
        assert (said[1] == "True") == (is_leader or "nice 10" in Path("/proc/self/autogroup").read_text())
