"""Planting: somebody whose fifty phrases are in everything that a person can leave behind, each in a place of its own."""

from typing import NamedTuple
from uuid import UUID, uuid4

from commands.account import GrantRole
from commands.own_webhook import PutOwnWebhook
from commands.push import SubscribePush
from domain.events import Caller
from domain.ids import SessionId, SubscriptionId, UserId
from tests.deployments import PASSWORD, Gateway, Person

PHRASES = 50
POSTED = 20
DEVICE = ("BFakePointOfTheCurve", "AAAAAAAAAAAAAAAAAAAAAA")


class Planted(NamedTuple):
    """Who left the phrases, who was there, and in which room and messages."""

    person: Person
    friend: Person
    phrases: list[str]
    room_id: str
    messages: list[str]
    file_id: str


async def planted(hansard: Gateway) -> Planted:
    """Have somebody come, do everything and be looked at."""
    phrases = [f"quokka{number:02d}x{uuid4().hex[:8]}" for number in range(PHRASES)]
    left = iter(phrases)
    friend = await hansard.person()
    await friend.ask("PUT", "/users/me/notifications", 200, json={"keywords": ["say"]})
    person = await arrived(hansard, next(left), next(left), agent=next(left))
    await person.ask("PUT", "/users/me", 200, json={"avatar_url": f"https://pictures.example/{next(left)}.png"})
    await person.ask("PUT", "/users/me", 200, json={"username": next(left)})
    room_id = await friend.room(person)
    messages = [(await person.say(room_id, f"I say **{next(left)}**"))["id"] for _ in range(POSTED)]
    await person.ask("PATCH", f"/messages/{messages[0]}", 200, json={"content": f"no, {next(left)}"})
    await person.ask("PATCH", f"/messages/{messages[1]}", 200, json={"content": f"rather {next(left)}"})
    await person.ask("DELETE", f"/messages/{messages[2]}", 200)
    await friend.ask("PUT", f"/messages/{messages[3]}/pin", 204)
    root = await friend.say(room_id, "what do you think?")
    for _ in range(3):
        messages.append((await person.say(room_id, next(left), thread_id=root["id"]))["id"])
    await person.ask("PUT", f"/messages/{root['id']}/reactions/%F0%9F%91%8D", 204)
    direct = await person.ask("POST", "/direct", 201, json={"user_ids": [friend.id]})
    messages += [(await person.say(direct["id"], next(left)))["id"] for _ in range(2)]
    file_id = (await person.upload(f"the text {next(left)} of a file".encode(), f"{next(left)}.txt"))["id"]
    shown = {"file_id": file_id, "message_type": "file"}
    messages.append((await person.say(room_id, f"see {next(left)}", **shown))["id"])
    await person.upload(f"nobody sees {next(left)}".encode(), f"{next(left)}.txt")
    settings = {"keywords": [next(left)], "default": "all", "email": "soon"}
    await person.ask("PUT", "/users/me/notifications", 200, json=settings)
    await _elsewhere(hansard, person, next(left), next(left), next(left))
    await _looked_at(hansard, person, room_id, messages[4], next(left), next(left))
    archived = await friend.room(person)
    messages.append((await person.say(archived, next(left)))["id"])
    await friend.ask("DELETE", f"/rooms/{archived}", 204)
    while phrase := next(left, None):
        messages.append((await person.say(room_id, f"and {phrase}"))["id"])
    return Planted(person, friend, phrases, room_id, messages, file_id)


async def arrived(hansard: Gateway, name: str, address: str, *, agent: str) -> Person:
    """Register and log in somebody by this name, e-mail address and browser."""
    http = hansard.client(**{"User-Agent": agent})
    email = f"{address}@example.com"
    made = await http.post("/auth/register", json={"email": email, "username": name, "password": PASSWORD})
    assert made.status_code == 201, made.text
    tokens = (await http.post("/auth/login", json={"email": email, "password": PASSWORD})).json()
    return Person(hansard.client(tokens["access_token"]), tokens)


async def _elsewhere(hansard: Gateway, person: Person, endpoint: str, device: str, webhook: str) -> None:
    """Have a device and a server of the person's be told of things."""
    sessions = await person.ask("GET", "/auth/sessions", 200)
    caller = Caller(UserId(UUID(person.id)), SessionId(UUID(sessions["items"][0]["id"])))
    subscribe = SubscribePush(SubscriptionId(uuid4()), f"https://push.example/{endpoint}", *DEVICE, device)
    await hansard.services.command_bus.do(subscribe, caller)
    await hansard.services.command_bus.do(PutOwnWebhook(f"https://hooks.example/{webhook}", "whsec_x"), caller)


async def _looked_at(hansard: Gateway, person: Person, room_id: str, message_id: str, why: str, filtered: str) -> None:
    """Have an auditor look at the person, and an admin delete a message of theirs, both with a reason that names them."""
    auditor = await hansard.person()
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(auditor.id)), "auditor"), Caller())
    looked = {"Hansard-Reason": f"because of {filtered}"}
    await auditor.ask("GET", f"/audit/events?actor={person.id}", 200, headers=looked)
    await person.ask("DELETE", f"/messages/{message_id}", 200, headers={"Hansard-Reason": f"sorry for {why}"})
