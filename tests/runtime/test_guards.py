"""Guards: keys and home are nobody else's, and clients come over TLS; or a production start ends with a sentence."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog

from runtime.operators.doctor import doctor
from runtime.settings import SettingRefusedError, Settings
from runtime.settings_reader import read
from runtime.startup_checks import InsecureSettingsError, guard, guard_gateway
from tests.certificates import made
from tests.ports import free_port
from tests.runtime.test_settings import POSTGRES
from tests.runtime.test_up import System


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A production of its own: a private home, a private key in a folder that nobody else writes to."""
    (folder / "home").mkdir(mode=0o700)
    (folder / "keys").mkdir(mode=0o755)
    key = folder / "keys" / "master.key"
    key.write_text("0f" * 32)
    key.chmod(0o600)
    return {
        "HANSARD_ENV": "production",
        "HANSARD_HOME": str(folder / "home"),
        "HANSARD_MASTER_KEY_FILE": str(key),
        "HANSARD_DATABASE_URL": POSTGRES,
        "HANSARD_REDIS_URL": "redis://x",
        "HANSARD_SCANNER_URL": "tcp://clamd:3310",
        **more,
    }


LAX = [
    ("keys/master.key", 0o640, "chmod 600"),
    ("keys/master.key", 0o604, "chmod 600"),
    ("keys/master.key", 0o622, "chmod 600"),
    ("keys", 0o777, "chmod 700"),
    ("keys", 0o775, "chmod 700"),
    ("home", 0o750, "chmod 700"),
    ("home", 0o701, "chmod 700"),
    ("server.key", 0o644, "chmod 600"),
]


@pytest.mark.parametrize(("name", "bits", "says"), LAX)
def test_in_production_what_others_may_read_stops_the_start(tmp_path: Path, name: str, bits: int, says: str) -> None:
    shown = made(tmp_path)
    tls = {"HANSARD_TLS_CERTIFICATE": str(shown.certificate), "HANSARD_TLS_KEY": str(shown.key)}
    settings = read(environment(tmp_path, **tls))
    guard(settings)
    (tmp_path / name).chmod(bits)
    with pytest.raises(InsecureSettingsError) as stopped:
        guard(settings)
    assert str(stopped.value) == f"{tmp_path / name} is open to others of this machine (mode {bits:04o}): {says} it."
    assert mode(tmp_path / name) == bits, "it is the operator's to mend"


def test_a_sticky_folder_keeps_others_from_exchanging_a_key(tmp_path: Path) -> None:
    settings = read(environment(tmp_path))
    (tmp_path / "keys").chmod(0o1777)
    guard(settings)


@pytest.fixture
def reached_by_all() -> Iterator[Path]:
    """A folder that other users reach; pytest's own are closed to them."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else, and look as them")
def test_a_key_that_root_holds_out_may_be_read_by_its_group(reached_by_all: Path) -> None:
    settings = read(environment(reached_by_all))
    os.chown(settings.home, 10_001, 10_001)
    settings.master_key.chmod(0o440)
    os.seteuid(10_001)
    try:
        guard(settings)
    finally:
        os.seteuid(0)
    with pytest.raises(InsecureSettingsError):
        guard(settings)


def test_elsewhere_what_is_lax_is_mended_and_said(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    guard(settings)
    assert mode(settings.home) == 0o700, "made for its owner alone"
    settings.master_key.write_text("0f" * 32)
    settings.master_key.chmod(0o644)
    settings.home.chmod(0o755)
    with structlog.testing.capture_logs() as said:
        guard(settings)
        guard(settings)
    assert (mode(settings.home), mode(settings.master_key)) == (0o700, 0o600)
    assert [(line["event"], line["was"], line["now"]) for line in said] == [
        ("a mode was mended", "0755", "0700"),
        ("a mode was mended", "0644", "0600"),
    ]


def test_in_production_clients_come_over_tls(tmp_path: Path) -> None:
    given = environment(tmp_path)
    with pytest.raises(SettingRefusedError, match="HANSARD_TRUSTED_PROXIES where a proxy ends TLS"):
        guard_gateway(read(given))
    guard_gateway(read(given | {"HANSARD_TRUSTED_PROXIES": "10.0.0.0/8"}))
    guard_gateway(Settings())
    for days, self_signed, says in (
        (90, False, None),
        (90, True, "holds a certificate that signed itself"),
        (-1, False, "is not valid now"),
    ):
        shown = made(tmp_path, days=days, self_signed=self_signed)
        tls = {"HANSARD_TLS_CERTIFICATE": str(shown.certificate), "HANSARD_TLS_KEY": str(shown.key)}
        settings = read(given | tls)
        if says is None:
            guard_gateway(settings)
            continue
        with pytest.raises(SettingRefusedError, match=says):
            guard_gateway(settings)
    shown.certificate.write_text("nothing")
    with pytest.raises(SettingRefusedError, match="holds no certificate that can be read"):
        guard_gateway(settings)


async def test_a_production_start_with_a_lax_key_is_one_sentence(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    alone = System(tmp_path / "home", free_port())
    given = environment(tmp_path, HANSARD_DATABASE_URL=database_url, HANSARD_REDIS_URL=redis_url)
    key = tmp_path / "keys" / "master.key"
    key.chmod(0o644)
    alone.environment |= given
    code, said = await alone.run("worker")
    assert (code, said) == (78, f"hansard: {key} is open to others of this machine (mode 0644): chmod 600 it.\n")


async def test_the_doctor_says_what_is_lax_and_which_certificate_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = made(tmp_path, days=7)
    settings = Settings(home=tmp_path / "home", tls_certificate=shown.certificate, tls_key=shown.key)
    settings.home.mkdir(mode=0o755)
    shown.key.chmod(0o640)
    assert await doctor(settings) == 1
    said = capsys.readouterr().out
    assert f"chmod 700 {settings.home}; chmod 600 {shown.key}" in said
    assert f"[FAIL] tls: {shown.certificate} ends in 6 days: renew it" in said
    settings.home.chmod(0o700)
    made(tmp_path)
    await doctor(settings)
    said = capsys.readouterr().out
    assert "[ok]   modes: " in said and f"[ok]   tls: {shown.certificate}, for 89 more days" in said
