"""All attacks, in the order in which they come: what lasts, last."""

from tests.attack import connections, frames, guessing, heads, poison, reading, secrets, smuggling, spelling
from tests.attack.scene import Attack

_MODULES = (frames, heads, connections, spelling, guessing, reading, secrets, smuggling, poison)
ATTACKS: dict[str, Attack] = {attack.name: attack for module in _MODULES for attack in module.ATTACKS}
