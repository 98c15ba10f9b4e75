"""Four eyes: what one person asks for is done when another one agreed; what is asked, granted and refused is on the record."""

import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import Struct

from adapters.clock import now
from commands import HANDLERS
from commands.account import GrantRole
from commands.approval import DECIDES, await_approval, require_approved
from commands.command_bus import CommandBus
from commands.unit_of_work import UnitOfWork
from domain.account import AccountRole
from domain.approval import SUBJECTS, ApprovalSubject, FourEyes, approval_key
from domain.audit import AUDIT_READS, AuditRead
from domain.errors import ApprovalExpiredError, ApprovalNeededError, ApprovalRefusedError
from domain.events import Caller
from domain.ids import SessionId, UserId
from tests.deployments import Gateway, Person, deployment

WHY = {"Hansard-Reason": "complaint 17"}
ON = FourEyes(frozenset(SUBJECTS))


class Begin(Struct, frozen=True):
    """What an export's or erasure's first command does."""

    subject: ApprovalSubject
    about_id: UUID
    four_eyes: FourEyes
    user_id: UserId | None = None


class GoOn(Struct, frozen=True):
    subject: ApprovalSubject
    about_id: UUID


async def begin(command: Begin, unit: UnitOfWork) -> None:
    # Something of its own that stands before the approval in the append.
    await unit.load_new(AUDIT_READS, command.about_id)
    assert unit.caller.user_id
    unit.write(AUDIT_READS, command.about_id, events=(AuditRead(unit.caller.user_id, "begun", 0),))
    waits = await await_approval(
        unit, command.subject, command.about_id, four_eyes=command.four_eyes, user_id=command.user_id, summary="room 7"
    )
    assert waits == (command.subject in command.four_eyes.subjects)


async def go_on(command: GoOn, unit: UnitOfWork) -> None:
    await require_approved(unit, command.subject, command.about_id)


class Desk:
    """A gateway, three people with roles, and a command bus whose clock can be set."""

    def __init__(self, hansard: Gateway, people: list[Person]) -> None:
        self.hansard = hansard
        self.auditor, self.keeper, self.admin, self.nobody = people
        self.later = timedelta()
        handlers: dict[type[Struct], Any] = {**HANDLERS, Begin: begin, GoOn: go_on}
        self.bus = CommandBus(hansard.services.record, handlers, now=self.now, chance=os.urandom)

    def now(self) -> datetime:
        return now() + self.later

    async def begun(self, subject: ApprovalSubject, by: Person, **fields: Any) -> tuple[UUID, str]:
        """Have somebody ask for a thing; answers its id and the address of its approval."""
        about_id = uuid4()
        caller = Caller(user_id=UserId(UUID(by.id)), session_id=SessionId(uuid4()), reason="complaint 17")
        outcome = await self.bus.do(Begin(subject, about_id, fields.pop("four_eyes", ON), **fields), caller)
        self.hansard.wrote(None, outcome.position)
        return about_id, f"/approvals/{approval_key(subject, about_id)}"

    async def may_go_on(self, subject: ApprovalSubject, about_id: UUID) -> None:
        await self.bus.do(GoOn(subject, about_id), Caller())


@pytest.fixture
async def desk(database_url: str, redis_url: str) -> AsyncIterator[Desk]:
    async with deployment(database_url, redis_url) as hansard:
        people = [await hansard.person() for _ in range(4)]
        roles: tuple[AccountRole, ...] = ("auditor", "records_manager", "admin")
        for person, role in zip(people, roles, strict=False):
            await hansard.services.command_bus.do(GrantRole(UserId(UUID(person.id)), role), Caller())
        yield Desk(hansard, people)


async def test_what_one_asked_for_goes_on_when_another_one_agreed(desk: Desk) -> None:
    about_id, path = await desk.begun("export", desk.auditor)
    with pytest.raises(ApprovalNeededError):
        await desk.may_go_on("export", about_id)
    [waiting] = (await desk.keeper.ask("GET", "/approvals", 200, headers=WHY))["items"]
    assert (waiting["state"], waiting["subject"], waiting["about_id"]) == ("pending", "export", str(about_id))
    assert (waiting["requester_id"], waiting["summary"], waiting["reason"]) == (
        desk.auditor.id,
        "room 7",
        "complaint 17",
    )
    assert datetime.fromisoformat(waiting["expires_at"]) > now() + timedelta(hours=71)
    assert (await desk.auditor.ask("POST", f"{path}/approve", 403, headers=WHY))["code"] == "approval.own"
    agreed = await desk.keeper.ask("POST", f"{path}/approve", 200, headers={"Hansard-Reason": "it is right"})
    assert (agreed["state"], agreed["decider_id"], agreed["decision_reason"]) == (
        "granted",
        desk.keeper.id,
        "it is right",
    )
    await desk.may_go_on("export", about_id)
    assert (await desk.auditor.ask("GET", "/approvals", 200, headers=WHY))["items"] == []
    [listed] = (await desk.auditor.ask("GET", "/approvals?state=granted", 200, headers=WHY))["items"]
    assert listed == agreed == await desk.auditor.ask("GET", path, 200, headers=WHY)
    # The same decision again changes nothing, another one is refused, whoever takes it.
    assert await desk.keeper.ask("POST", f"{path}/approve", 200, headers=WHY) == agreed
    for person in (desk.keeper, desk.admin):
        assert (await person.ask("POST", f"{path}/refuse", 409, headers=WHY))["code"] == "approval.decided"
    assert (await desk.admin.ask("POST", f"{path}/approve", 409, headers=WHY))["code"] == "approval.decided"


async def test_what_was_refused_or_nobody_decided_in_time_does_not_go_on(desk: Desk) -> None:
    refused_id, refused = await desk.begun("erasure", desk.admin)
    assert (await desk.keeper.ask("POST", f"{refused}/refuse", 200, headers=WHY))["state"] == "refused"
    with pytest.raises(ApprovalRefusedError):
        await desk.may_go_on("erasure", refused_id)
    late_id, late = await desk.begun("erasure", desk.admin, four_eyes=FourEyes(frozenset(["erasure"]), seconds=-1))
    assert (await desk.keeper.ask("POST", f"{late}/approve", 409, headers=WHY))["code"] == "approval.expired"
    with pytest.raises(ApprovalExpiredError):
        await desk.may_go_on("erasure", late_id)
    in_time_id, in_time = await desk.begun("erasure", desk.admin)
    await desk.keeper.ask("POST", f"{in_time}/approve", 200, headers=WHY)
    desk.later = timedelta(days=30)
    await desk.may_go_on("erasure", in_time_id)

    async def standing(state: str) -> list[str]:
        page = await desk.keeper.ask("GET", f"/approvals?state={state}", 200, headers=WHY)
        return [item["about_id"] for item in page["items"]]

    assert [await standing(state) for state in ("pending", "expired", "refused", "granted")] == [
        [], [str(late_id)], [str(refused_id)], [str(in_time_id)],
    ]  # fmt: skip


async def test_only_a_role_for_the_subject_decides_and_never_on_oneself(desk: Desk) -> None:
    assert set(DECIDES) == set(SUBJECTS)
    _, path = await desk.begun("erasure", desk.admin, user_id=UserId(UUID(desk.keeper.id)))
    for person, code in (
        (desk.nobody, "auth.role_needed"),
        (desk.auditor, "auth.role_needed"),
        (desk.keeper, "approval.own"),  # whom it is about
        (desk.admin, "approval.own"),  # who asked
    ):
        for decision in ("approve", "refuse"):
            assert (await person.ask("POST", f"{path}/{decision}", 403, headers=WHY))["code"] == code
    assert (await desk.admin.ask("GET", path, 200, headers=WHY))["state"] == "pending"
    assert (await desk.nobody.ask("GET", "/approvals", 403, headers=WHY))["code"] == "auth.role_needed"
    assert (await desk.admin.ask("POST", f"/approvals/{uuid4()}/approve", 404, headers=WHY))[
        "code"
    ] == "approval.not_found"
    assert (await desk.auditor.ask("POST", f"{path}/approve", 422))["code"] == "reason.missing"


async def test_without_the_switch_nobody_is_asked(desk: Desk) -> None:
    about_id, path = await desk.begun("export", desk.auditor, four_eyes=FourEyes(frozenset(["erasure"])))
    await desk.may_go_on("export", about_id)
    await desk.admin.ask("GET", path, 404, headers=WHY)


async def test_request_decision_and_look_are_on_the_record_with_their_reasons(desk: Desk) -> None:
    _, path = await desk.begun("export", desk.auditor, user_id=UserId(UUID(desk.nobody.id)))
    await desk.keeper.ask("POST", f"{path}/approve", 200, headers={"Hansard-Reason": "it is right"})
    await desk.admin.ask("GET", path, 200, headers={"Hansard-Reason": "a review"})
    trail = f"/audit/events?subject={desk.nobody.id}"
    entries = (await desk.admin.ask("GET", trail, 200, headers=WHY))["items"]
    told = [(e["type"], e["actor"], e["reason"]) for e in entries if e["type"].startswith("approval.")]
    assert told == [
        ("approval.requested", desk.auditor.id, "complaint 17"),
        ("approval.granted", desk.keeper.id, "it is right"),
    ]
    assert [e["before"] for e in entries if e["type"] == "approval.granted"] == [
        {"state": "pending", "decider_id": None}
    ]
    looks = (await desk.keeper.ask("GET", "/audit/events?type=audit.read", 200, headers=WHY))["items"]
    seen = [(look["actor"], look["data"]["filter"], look["reason"]) for look in looks]
    assert (desk.admin.id, f"/api/v1{path}", "a review") in seen


async def test_pages_of_approvals_go_on_where_they_ended(desk: Desk) -> None:
    made = [str((await desk.begun("export", desk.auditor))[0]) for _ in range(5)]
    found: list[str] = []
    path = "/approvals?limit=2"
    while True:
        page = await desk.keeper.ask("GET", path, 200, headers=WHY)
        found += [item["about_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        path = f"/approvals?limit=2&cursor={page['next_cursor']}"
    assert found == made
