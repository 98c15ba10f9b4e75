"""What generated people write: short sentences mostly, now and then a long one, a link, a list, code, or somebody's name."""

import random
from collections.abc import Sequence

SAID = """
    the release is on monday and we are ready for it I think so too can somebody look at this please it works here but not
    there after lunch before noon who has the numbers of last week they are in the shared folder thanks a lot great work
    everybody let us talk about that tomorrow morning at nine in the small room the customer wants an answer today and
    nobody told them why not it depends on how long the tests take maybe we should ask first yes no of course never mind
    I will do it now done merged deployed rolled back the build is green again red since yesterday evening strange
"""
NAMED_AFTER = """
    ada ben cleo dan eva finn gita hugo ines jan kira leo mia nils olga pia quin rosa sam tara udo vera wim xenia yann zoe
"""
ABOUT = """
    general random release support design backend frontend hiring lunch music books travel sales board on-call incidents
    budget research docs weekly
"""
WORDS, NAMES, ROOMS = SAID.split(), NAMED_AFTER.split(), ABOUT.split()
EMOJIS = ("👍", "❤️", "😂", "🎉", "👀", "✅", "🙏", "🚀")
LONG = 0.04
SPECIAL = 0.06
NAMED = 0.05


def name_of(number: int, seed: int) -> str:
    """Return the username of the person with this number; each has another, and so have those of another seed."""
    first, rest = NAMES[number % len(NAMES)], number // len(NAMES)
    return f"{first}{rest or ''}.{seed}"


def room_name(number: int) -> str:
    return f"{ROOMS[number % len(ROOMS)]} {number // len(ROOMS) + 1}"


def text(chance: random.Random, names: Sequence[str] = ()) -> str:
    """Return a message. `names` are those who may be mentioned."""
    length = chance.randint(60, 250) if chance.random() < LONG else 1 + int(chance.expovariate(0.12))
    written = " ".join(chance.choices(WORDS, k=min(length, 250)))
    if names and chance.random() < NAMED:
        written = f"@{chance.choice(names)} {written}"
    if chance.random() < SPECIAL:
        written = _special(chance, written)
    return written


def _special(chance: random.Random, written: str) -> str:
    first, _, rest = written.partition(" ")
    return chance.choice(
        (
            f"**{first}** {rest}",
            f"{written} https://example.org/{first}?page={chance.randrange(1000)}",
            f"- {first}\n- {rest or first}",
            f"`{first}` {rest}",
            f"> {first}\n\n{rest or first}",
            f"```\n{written}\n```",
            f"{written} {chance.choice(EMOJIS)}",
        )
    )
