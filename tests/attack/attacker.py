"""`python -m tests.attack.attacker NAME PORT HOME SECONDS NUMBER`: one attack in a process of its own, which yields to
everybody else. Says when it begins and ends, and what it found, a line of JSON each."""

import asyncio
import os
import sys
from pathlib import Path

from tests.attack.attacks import ATTACKS
from tests.attack.scene import Scene, told

NICE = 19


def main() -> None:
    name, port, home, seconds, number = sys.argv[1:]
    os.nice(NICE)
    scene = Scene(int(port), Path(home), float(seconds), number=int(number), says=True)
    print(told(asyncio.run(ATTACKS[name].run(scene))), file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
