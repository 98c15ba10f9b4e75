"""Time and randomness: they are always arguments."""

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], datetime]


Chance = Callable[[int], bytes]
