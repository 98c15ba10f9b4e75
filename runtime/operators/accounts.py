"""`hansard grant`, `revoke` and `account`: the roles of an account, whether it is active, and its end."""

import argparse

from commands.account import Activate, Deactivate, GrantRole, RevokeRole
from commands.erasure import RequestErasure
from domain.account import ACCOUNT, ACCOUNT_ROLES
from domain.erasure import ERASURE
from domain.errors import ReadableError
from domain.ids import UserId
from domain.text import fold_email
from runtime.command import Command
from runtime.composition.process_context import ProcessContext
from runtime.operators.writing import OPERATOR, operator
from runtime.settings import Settings


class AccountUnknownError(ReadableError):
    """Nobody registered with this e-mail."""


async def grant(settings: Settings, asked: argparse.Namespace) -> int:
    """Give an account a role."""
    async with operator(settings) as base:
        outcome = await base.command_bus.do(GrantRole(await _account(base, asked.email), asked.role), OPERATOR)
    print(f"{asked.email} is {asked.role}." if outcome.events else f"{asked.email} was {asked.role} already.")
    return 0


async def revoke(settings: Settings, asked: argparse.Namespace) -> int:
    """Take a role from an account."""
    async with operator(settings) as base:
        outcome = await base.command_bus.do(RevokeRole(await _account(base, asked.email), asked.role), OPERATOR)
    print(f"{asked.email} is {asked.role} no more." if outcome.events else f"{asked.email} was not {asked.role}.")
    return 0


async def set_active(settings: Settings, asked: argparse.Namespace) -> int:
    """Deactivate an account, activate it again, or have the person erased."""
    if asked.action == "erase":
        return await erase(settings, asked.email)
    is_activated = asked.action == "activate"
    async with operator(settings) as base:
        user_id = await _account(base, asked.email)
        outcome = await base.command_bus.do(Activate(user_id) if is_activated else Deactivate(user_id), OPERATOR)
    state = "active" if is_activated else "deactivated"
    print(f"{asked.email} is {state}." if outcome.events else f"{asked.email} was {state} already.")
    return 0


async def erase(settings: Settings, email: str) -> int:
    """Have a person erased who asked for it; a worker does it, once another person approves if four eyes are wanted."""
    async with operator(settings) as base:
        user_id = await _account(base, email)
        command = RequestErasure(user_id, base.command_bus.new_id(), four_eyes=settings.approvals)
        erasure = (await base.command_bus.do(command, OPERATOR)).folded(ERASURE, user_id).state
    assert erasure is not None, "it was requested now or before"
    waits = ", once somebody approves" if erasure.awaits_approval else ""
    where = f"GET /api/v1/erasures/{erasure.erasure_id}"
    print(
        f"The erasure of {email} is requested{waits}: {where} says how far it is, and what holds it. The id is a secret."
    )
    return 0


async def _account(base: ProcessContext, email: str) -> UserId:
    """Return whose e-mail this is. Raise `AccountUnknownError` if it is nobody's."""
    stream_id = await base.record.claimant("email", fold_email(email))
    account = None if stream_id is None else (await base.command_bus.read({stream_id: ACCOUNT}))[stream_id].state
    if account is None:
        raise AccountUnknownError(f"Nobody registered with {email}.")
    return UserId(account.user_id)


def _describe_role(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("email", help="whose account")
    parser.add_argument("role", choices=ACCOUNT_ROLES, help="what the role is for: docs/rights.md")


def _describe_active(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("deactivate", "activate", "erase"),
        help="deactivate: end all sessions, and let nobody log in; activate: undo that; erase: for ever (docs/erasure.md)",
    )
    parser.add_argument("email", help="whose account")


GRANT = Command(grant, _describe_role)
REVOKE = Command(revoke, _describe_role)
ACTIVATION = Command(set_active, _describe_active)
