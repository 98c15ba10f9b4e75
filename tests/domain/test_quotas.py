"""Quotas: whose is whose, and how long an emptied one takes."""

from uuid import UUID

import pytest

from domain.ids import SessionId, UserId
from domain.quotas import Quota, of_address, of_email, of_email_at, of_session, of_user

ADA = UserId(UUID(int=1))


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.7", "address 192.0.2.7"),
        ("::ffff:192.0.2.7", "address 192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address 2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address fe80::/64"),
        ("a socket's file", "address unknown"),
        (None, "address unknown"),
    ],
)
def test_a_household_is_one_caller(address: str | None, whose: str) -> None:
    assert of_address(address) == whose


def test_people_sessions_and_accounts_are_counted_apart() -> None:
    assert of_user(ADA) == "user 00000000-0000-0000-0000-000000000001"
    assert of_session(SessionId(UUID(int=2))) == "session 00000000-0000-0000-0000-000000000002"
    assert (of_email("ada@example.com"), of_email("ada@example.com", "reset")) == (
        "email ada@example.com",
        "email ada@example.com reset",
    )
    assert of_email_at("ada@example.com", "192.0.2.7") == "email ada@example.com from address 192.0.2.7"


def test_a_request_never_costs_more_than_the_burst() -> None:
    quota = Quota("uploads", 10, 60, 20)
    assert (quota.at(7).cost, quota.at(1_000).cost) == (7, 20)
    assert quota.window_seconds == 120
