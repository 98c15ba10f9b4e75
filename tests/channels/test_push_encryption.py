"""Push messages are those of RFC 8291: its example byte for byte, and another implementation reads what ours wrote."""

import os

import pytest

from adapters.push.encryption import BODY_BYTES_MAX, device_keys, encrypted
from adapters.push.vapid import Vapid
from domain.errors import PushKeysInvalidError
from tests.channels.push_service import FakeDevice, _decoded, private_key

# RFC 8291, appendix A.
TEXT = b"When I grow up, I want to be a watermelon"
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
    "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_example_of_the_rfc_is_made_byte_for_byte() -> None:
    assert encrypted(TEXT, P256DH, AUTH, private=private_key(SENDER), salt=_decoded(SALT)) == _decoded(BODY)


@pytest.mark.parametrize("length", [0, 1, 41, 3_072, 3_993])
def test_another_implementation_reads_it_whatever_the_padding(length: int) -> None:
    device, text = FakeDevice("https://push.example.org/x"), os.urandom(length)
    for padded in (0, 3_072, 3_993):
        body = encrypted(text, device.p256dh, device.auth, padded_bytes=padded)
        assert device.opened(body) == text
        assert len(body) == 86 + max(length, padded) + 17 <= BODY_BYTES_MAX


def test_keys_and_salts_are_new_for_each_message() -> None:
    assert len({encrypted(TEXT, P256DH, AUTH)[:86] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("", AUTH), (P256DH, ""), (P256DH, AUTH[:-2]), (P256DH, P256DH), (P256DH[:-4], AUTH), (P256DH + "AAAA", AUTH),
        ("A" * 87, AUTH), ("BA" + "A" * 85, AUTH), (P256DH[:-2] + "AA", AUTH), (P256DH, "ä" * 22), (P256DH, "*" * 22),
        ("Ag" + P256DH[2:44], AUTH), (f"\n{P256DH}", AUTH), (P256DH.replace("_", "/") + "*", AUTH),
    ],
)  # fmt: skip
def test_what_is_no_key_of_a_device_is_refused(p256dh: str, auth: str) -> None:
    with pytest.raises(PushKeysInvalidError):
        device_keys(p256dh, auth)


def test_the_key_of_a_deployment_follows_from_its_master_key() -> None:
    first, again, other = [Vapid(bytes([n]) * 64, "mailto:operator@example.com") for n in (1, 1, 2)]
    assert first.public_key == again.public_key != other.public_key
    assert len(first.public_key) == 87 and _decoded(first.public_key)[0] == 4
