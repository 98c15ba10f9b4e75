"""Attacks on log-in: a queue kept full, and owners locked out."""

import asyncio
from collections.abc import Callable, Sequence
from email import message_from_bytes
from itertools import cycle
from uuid import uuid4

from tests.attack.scene import Attack, Found, Scene, Tally
from tests.attack.wires import API, Answer, Wire, ask
from tests.deployments import PASSWORD

AT_ONCE = 48
GUESSES = 12
GUESSES_LOOKED_AT_MAX = 6  # of one address: five, and one that came back meanwhile
NETWORK, GUESSES_OF_EACH, NETWORK_LOOKED_AT_MAX = 20, 3, 30
MAIL_SECONDS = 5.0
WRONG = "not the right password"


Way = tuple[str, str, Callable[[], dict[str, str]], str]


def _guess() -> dict[str, str]:
    return {"email": f"{uuid4().hex}@example.com", "password": WRONG}


def _newcomer() -> dict[str, str]:
    return _guess() | {"username": f"u{uuid4().hex[:14]}"}


def _change() -> dict[str, str]:
    return {"current_password": WRONG, "new_password": "another horse battery"}


async def _keep_full(scene: Scene, kinds: Sequence[Way]) -> Found:
    """Ask for hashes from one address, as many at once as a queue holds, by every way that there is."""
    tally, ways = Tally(), cycle(kinds)

    async def some() -> None:
        wire: Wire | None = None
        while not scene.is_over:
            try:
                if wire is None or wire.is_closed:
                    wire = await scene.wire()
            except OSError:
                await asyncio.sleep(0.2)
                continue
            method, path, make, token = next(ways)
            status = tally.add(await wire.ask(method, path, make(), token=token))
            if status in (404, 429, 503):
                await asyncio.sleep(0.2)
        if wire is not None:
            wire.close()

    scene.began()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    scene.ended()
    return Found(f"{tally.counts.total()} requests, {AT_ONCE} at once", str(tally))


async def hashing_by_a_stranger(scene: Scene) -> Found:
    """A stranger's address cannot fill the queue for hashing: others' right log-ins are answered meanwhile."""
    paths = (f"{API}/auth/login", f"{API}/auth/login/", f"/{API}/auth/login", f"{API}/auth/%6cogin")
    ways: list[Way] = [("POST", path, _guess, "") for path in paths]
    return await _keep_full(scene, [*ways, ("POST", f"{API}/auth/register", _newcomer, "")])


async def hashing_by_a_member(scene: Scene) -> Found:
    """Nor can a member, with a token or eight."""
    ways: list[Way] = []
    for person in [await scene.person() for _ in range(8)]:
        ways += [("PUT", f"{API}/auth/password{end}", _change, person.token) for end in ("", "/")]
        ways += [("POST", path, _guess, person.token) for path in (f"{API}/auth/login/", f"/{API}/auth/login")]
        ways.append(("POST", f"{API}/auth/register/", _newcomer, person.token))
    return await _keep_full(scene, ways)


async def lock_out(scene: Scene) -> Found:
    """Wrong tries by a stranger do not keep an owner out who comes from where they came from before (issue 9, 5)."""
    home = scene.fresh_address()
    owner = await scene.person(home)
    scene.began()
    wrong = {"email": owner.email, "password": WRONG}
    one = Tally.of([await scene.ask("POST", "/auth/login", wrong) for _ in range(GUESSES)])
    answer = await ask(scene.port, home, "POST", f"{API}/auth/login", wrong | {"password": PASSWORD})
    network = Tally()
    for _ in range(NETWORK):
        address = scene.fresh_address()
        for _ in range(GUESSES_OF_EACH):
            network.add(await ask(scene.port, address, "POST", f"{API}/auth/login", wrong))
    again = await ask(scene.port, home, "POST", f"{API}/auth/login", wrong | {"password": PASSWORD})
    scene.ended()
    breaches = [
        f"the owner's right password is answered {each.status} after wrong tries by {whom}"
        for each, whom in ((answer, "one address"), (again, "many"))
        if each.status != 200
    ]
    if one.counts[401] > GUESSES_LOOKED_AT_MAX:
        breaches.append(f"one address tried {one.counts[401]} passwords of one account")
    if network.counts[401] > NETWORK_LOOKED_AT_MAX:
        breaches.append(f"{NETWORK} addresses tried {network.counts[401]} passwords of one account")
    answered = f"{one}; of a network: {network}; the owner: {answer.status}, {again.status}"
    return Found(f"{GUESSES + NETWORK * GUESSES_OF_EACH} wrong passwords of one account", answered, breaches)


async def forgot(scene: Scene) -> Found:
    """A stranger who asks for somebody's reset mails does not use up those that their owner asks for."""
    home = scene.fresh_address()
    owner = await scene.person(home)
    scene.began()
    asked = {"email": owner.email}
    tally = Tally.of([await scene.ask("POST", "/auth/password/forgot", asked) for _ in range(GUESSES)])
    await asyncio.sleep(1.0)  # mails are written after the answer
    before = _mails_to(scene, owner.email)
    answer = await ask(scene.port, home, "POST", f"{API}/auth/password/forgot", asked)
    deadline = asyncio.get_running_loop().time() + MAIL_SECONDS
    while (after := _mails_to(scene, owner.email)) == before and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
    scene.ended()
    breaches = [] if after > before else [f"the owner is answered {answer.status} and gets no mail"]
    if before > GUESSES_LOOKED_AT_MAX:
        breaches.append(f"a stranger had {before} mails sent to one address")
    return Found(f"{GUESSES} × forgot", f"{tally}: {before} mails; the owner: {answer.status}", breaches)


def _mails_to(scene: Scene, email: str) -> int:
    return sum(message_from_bytes(mail.read_bytes())["To"] == email for mail in (scene.home / "mails").glob("*.eml"))


async def refused_tokens(scene: Scene) -> Found:
    """Five hundred made-up tokens a second, each refused, cost nobody else anything."""
    tally, wire = Tally(), await scene.wire()
    scene.began()
    async for n in scene.steps(500):
        if wire.is_closed:
            wire.close()
            wire = await scene.wire()
        answer: Answer = await wire.ask("GET", f"{API}/rooms", token=f"eyJhbGciOiJFZERTQSJ9.e30.{n:086d}")
        tally.add(answer)
    scene.ended()
    wire.close()
    return Found(f"{tally.counts.total()} requests", str(tally))


ATTACKS = (
    Attack("hashing-by-a-stranger", hashing_by_a_stranger),
    Attack("hashing-by-a-member", hashing_by_a_member),
    Attack("lock-out", lock_out, is_watched=False),
    Attack("forgot", forgot, is_watched=False),
    Attack("refused-tokens", refused_tokens),
)
