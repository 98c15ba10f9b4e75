"""Attacks on what is kept and told: the database's log-ins, deleted text, joined histories, names that look alike, logs."""

import asyncio
import json
from uuid import uuid4

import asyncpg
from redis.asyncio import Redis

from runtime.embedded.location import locate
from tests.attack.scene import Attack, Found, Scene, Tally
from tests.attack.wires import API, ask
from tests.deployments import PASSWORD

LOG_INS = """
    SELECT DISTINCT r.rolname, r.rolsuper OR r.rolcreaterole
        OR pg_has_role(r.oid, (SELECT relowner FROM pg_class WHERE oid = 'record.events'::regclass), 'MEMBER')
    FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
    WHERE a.backend_type = 'client backend' AND a.datname = current_database() AND a.pid <> pg_backend_pid()
"""
GONE_SECONDS = 5.0
HEARD_SECONDS = 1.0
MARKS = "a" + "\u0301" * 20
ESCAPE = "\x1b[31m"
FORGED = "forged-line"


async def database_log_in(scene: Scene) -> Found:
    """No process that serves is logged in to the database as who owns the record or could make roles (issue 9, 11)."""
    scene.began()
    connection = await asyncpg.connect(locate(scene.home).database_url)
    rows = await connection.fetch(LOG_INS)
    await connection.close()
    scene.ended()
    mighty = sorted(row[0] for row in rows if row[1])
    breaches = [f"processes are logged in as {name}; RESET ROLE gives everything back" for name in mighty]
    return Found("a look at who is logged in", ", ".join(sorted(row[0] for row in rows)) or "nobody", breaches)


async def deleted_text(scene: Scene) -> Found:
    """What was deleted is not in Redis five seconds later, nor in a file of its own (issue 9, 13)."""
    person = await scene.person()
    room = await scene.room(person, is_private=True)
    secret = f"secret-{uuid4().hex}"
    scene.began()
    said = await scene.say(person, room, secret)
    await asyncio.sleep(0.5)
    await scene.right(200, "DELETE", f"/messages/{said['id']}", token=person.token)
    deadline = asyncio.get_running_loop().time() + GONE_SECONDS
    while (places := await _places(scene, secret.encode())) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.5)
    scene.ended()
    breaches = [f"the text of a deleted message stands in {', '.join(places)}"] if places else []
    return Found("a message, and its deletion", f"found in {len(places)} places", breaches)


async def _places(scene: Scene, text: bytes) -> list[str]:
    """Return where Redis has this text: its streams, and the files below its folder."""
    found = []
    redis = Redis.from_url(locate(scene.home).redis_url, protocol=2)
    async for key in redis.scan_iter(_type="stream"):
        if text in repr(await redis.xrange(key)).encode():
            found.append("a lane")
    await redis.aclose()
    for file in (scene.home / "valkey").rglob("*"):
        if file.is_file() and text in file.read_bytes():
            found.append(f"the file {file.name}")
    return found


async def joined_history(scene: Scene) -> Found:
    """Where history is `joined`, an edit of an older message tells a later member nothing of it, live or replayed
    (issue 9, 14)."""
    owner, member = await scene.person(), await scene.person()
    room = await scene.room(owner)
    await scene.right(200, "PATCH", f"/rooms/{room}", {"history": "joined"}, token=owner.token)
    older, newer = f"older-{uuid4().hex}", f"edited-{uuid4().hex}"
    said = await scene.say(owner, room, older)
    await scene.right(200, "PUT", f"/rooms/{room}/members/{member.id}", {"role": "member"}, token=owner.token)
    socket = await scene.socket(token=member.token, path=f"{API}/ws/{room}")
    await socket.heard(HEARD_SECONDS)
    scene.began()
    await scene.right(200, "PATCH", f"/messages/{said['id']}", {"content": newer}, token=owner.token)
    live = json.dumps(await socket.heard(HEARD_SECONDS))
    socket.close()
    again = await scene.socket(token=member.token)
    await again.say({"id": 1, "type": "subscribe", "room_id": room, "after": 0})
    replayed = json.dumps(await again.heard(HEARD_SECONDS))
    again.close()
    scene.ended()
    breaches = [
        f"a later member is told an older message's text, {how}"
        for how, heard in (("live", live), ("in a replay", replayed))
        if older in heard or newer in heard
    ]
    return Found("an edit of a message before the joining", f"{len(breaches)} of 2 feeds told it", breaches)


async def look_alikes(scene: Scene) -> Found:
    """A name that looks like one that exists is refused, and one made of combining marks is (issue 9, 14)."""
    tail = uuid4().hex[:6].translate(str.maketrans("0123456789abcdef", "kkkkmmmmnnnnrrrr"))
    pairs = [
        (f"paypal{tail}", f"p\u0430yp\u0430l{tail}"),  # Cyrillic а
        (f"scope{tail}", f"\u0455\u0441\u043e\u0440\u0435{tail}"),  # all of it Cyrillic
        (f"google{tail}", f"g\u03bf\u03bfgle{tail}"),  # Greek ο
        (f"lion{tail}", f"Iion{tail}"),  # a capital I for l
    ]
    scene.began()
    tally, breaches = Tally(), []
    for name, twin in [*pairs, ("", MARKS + tail)]:
        if name and await _registers(scene, name) != 201:
            continue
        if tally.add(await _registers(scene, twin)) == 201:
            breaches.append(f"{twin!a} is taken" + (f" though {name} exists" if name else ""))
    scene.ended()
    return Found(f"{len(pairs) + 1} names", str(tally), breaches)


async def _registers(scene: Scene, username: str) -> int:
    body = {"email": f"{uuid4().hex}@example.com", "username": username, "password": PASSWORD}
    return (await ask(scene.port, scene.fresh_address(), "POST", f"{API}/auth/register", body)).status


async def log_lines(scene: Scene) -> Found:
    """Nothing that strangers send breaks a line of the log, or colours it."""
    scene.began()
    tally = Tally()
    bad = f"{ESCAPE}\n{FORGED} level=info\r{FORGED}\u2028{FORGED}"
    for path, headers in (
        (f"/livez?x={ESCAPE}", {}),
        ("/nowhere%0a" + FORGED + "%1b[31m", {}),
        ("/nowhere", {"User-Agent": bad, "X-Request-Id": bad, "traceparent": bad}),
        ("/nowhere", {"User-Agent": ESCAPE + FORGED, "X-Request-Id": ESCAPE + FORGED, "Origin": ESCAPE}),
    ):
        tally.add(await ask(scene.port, scene.address, "GET", path, **headers))
    for field in ("email", "username", "password"):
        body = {"email": "x@example.com", "username": "x", "password": PASSWORD} | {field: bad}
        tally.add(await scene.ask("POST", "/auth/register", body))
        tally.add(await scene.ask("POST", "/auth/login", {"email": bad, "password": bad}))
    scene.ended()
    log = scene.home.parent / "log"
    lines = log.read_bytes().split(b"\n") if log.exists() else []
    breaches = []
    if any(line.startswith(FORGED.encode()) for line in lines):
        breaches.append("a line of the log was made by a stranger")
    if any(ESCAPE.encode() in line and FORGED.encode() in line for line in lines):
        breaches.append("a stranger's escape sequence stands in the log")
    return Found(f"{tally.counts.total()} requests", str(tally), breaches)


ATTACKS = tuple(
    Attack(name, run, is_watched=False)
    for name, run in (
        ("database-log-in", database_log_in),
        ("deleted-text", deleted_text),
        ("joined-history", joined_history),
        ("look-alikes", look_alikes),
        ("log-lines", log_lines),
    )
)
