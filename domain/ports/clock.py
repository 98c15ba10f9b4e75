"""Time and chance: they come as arguments."""

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], datetime]


Chance = Callable[[int], bytes]
