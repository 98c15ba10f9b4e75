"""Settings: read strictly, and documented by the file that they make."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from domain.quotas import OFF, RELAXED, STRICT, Quota
from runtime.env_file import env_file
from runtime.settings import SettingRefusedError, Settings, address, listens_on
from runtime.settings_reader import example, read

POSTGRES = "postgresql://x:zfd83k@y/z?sslmode=verify-full"
UNREADABLE = (
    "{} cannot be read: a port is a number, and in a name or password # / ? @ : [ are written as "
    "%23 %2F %3F %40 %3A %5B."
)
STROKES = "is a whole path after three strokes, like"
SSLMODE = (
    "HANSARD_DATABASE_URL has sslmode=on; it can be disable or allow or prefer or require or verify-ca or verify-full."
)
ROOT = Path(__file__).parents[2]


def test_the_example_file_is_what_the_settings_say() -> None:
    assert (ROOT / ".env.example").read_text() == example(), "run: make env"


def test_the_example_file_changes_nothing() -> None:
    assert read(env_file(ROOT / ".env.example")) == Settings()


def test_an_env_file_is_read_as_other_programs_read_theirs(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(
        b"\xef\xbb\xbfHANSARD_HOST='::1'\r\n"
        b"export HANSARD_PORT=8001   # the second one\n"
        b'HANSARD_MAIL_FROM="Chat <chat@example.com>"\n'
        b"HANSARD_PASSWORD=pa$HOME${X}#1\n"
        b"  # HANSARD_ENV=production\nOTHER=1\nHANSARD_ORIGINS=\n"
    )
    assert env_file(file) == {
        "HANSARD_HOST": "::1",
        "HANSARD_PORT": "8001",
        "HANSARD_MAIL_FROM": "Chat <chat@example.com>",
        "HANSARD_PASSWORD": "pa$HOME${X}#1",
        "HANSARD_ORIGINS": "",
    }
    file.write_text("HANSARD_PORT\n")
    with pytest.raises(SettingRefusedError, match="HANSARD_PORT stands in"):
        env_file(file)
    assert env_file(tmp_path / "nothing") == {}


def test_production_has_nothing_embedded() -> None:
    given = {"HANSARD_ENV": "production", "HANSARD_DATABASE_URL": POSTGRES, "HANSARD_REDIS_URL": "redis://x"}
    given["HANSARD_SCANNER_URL"] = "tcp://clamav:3310"
    assert read({**given, "HANSARD_MASTER_KEY_FILE": "/keys/master.key"}).env == "production"
    for missing in ("HANSARD_DATABASE_URL", "HANSARD_REDIS_URL", "HANSARD_MASTER_KEY_FILE", "HANSARD_SCANNER_URL"):
        with pytest.raises(SettingRefusedError, match=f"{missing} must be set when HANSARD_ENV is production"):
            read({name: value for name, value in {**given, "HANSARD_MASTER_KEY_FILE": "/k"}.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HANSARD_DATABASE_URL", "postgresql://x@y/z", "Add \\?sslmode=verify-full"),
        ("HANSARD_DATABASE_URL", "postgresql://x@y/z?sslmode=require", "how Postgres is to show who it is"),
        ("HANSARD_DATABASE_URL", "postgresql://x:Hansard@y/z", "a password that everybody knows"),
        ("HANSARD_REDIS_URL", "redis://:password@y/0", "a password that everybody knows"),
        ("HANSARD_LIMITS", "off", "it is strict or relaxed"),
        ("HANSARD_ORIGINS", "http://chat.example.com", "origins are https"),
        ("HANSARD_MAIL_URL", "smtp+plain://mail.example.com", "it is smtp:// or smtps://"),
        ("HANSARD_S3_ENDPOINT", "http://blobs.example.com", "HANSARD_S3_ENDPOINT is not https"),
        ("HANSARD_LINKS_URL", "http://chat.example.com/", "HANSARD_LINKS_URL is not https"),
    ],
)
def test_production_refuses_what_is_not_safe_with_a_sentence(name: str, value: str, says: str) -> None:
    given = {"HANSARD_DATABASE_URL": POSTGRES, "HANSARD_REDIS_URL": "redis://x"}
    given |= {"HANSARD_MASTER_KEY_FILE": "/k", "HANSARD_ENV": "production", "HANSARD_SCANNER_URL": "tcp://clamd:3310"}
    assert read(given).env == "production"
    with pytest.raises(SettingRefusedError, match=says):
        read(given | {name: value})


def test_limits_are_a_set_with_single_ones_set_otherwise() -> None:
    assert read({}).quotas == RELAXED
    assert read({"HANSARD_LIMITS": "strict"}).quotas == STRICT
    one = read({"HANSARD_LIMITS": "off", "HANSARD_LIMIT_SENDS": "1/1/1"}).quotas
    assert one == replace(OFF, sends=Quota("sends", 1, 1, 1))
    assert read({"HANSARD_LIMIT_SENDS": "40/1/200"}).quotas == replace(RELAXED, sends=Quota("sends", 40, 1, 200))
    given = {
        "HANSARD_DATABASE_URL": POSTGRES,
        "HANSARD_REDIS_URL": "redis://x",
        "HANSARD_MASTER_KEY_FILE": "/k",
        "HANSARD_SCANNER_URL": "unix:///run/clamd.sock",
    }
    assert read({"HANSARD_ENV": "production", **given}).quotas == STRICT, "the default in production"


def test_values_are_parsed() -> None:
    settings = read(
        {"HANSARD_PORT": "9000", "HANSARD_ORIGINS": "https://a.example, http://b.example:8080/", "PATH": "x"}
    )
    assert settings.port == 9000
    assert settings.origins == ("https://a.example", "http://b.example:8080")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HANSARD_PORT", "none", "HANSARD_PORT is 'none'; it is a whole number from 1 to 65535."),
        ("HANSARD_PORT", "70000", "HANSARD_PORT is 70000; it is a whole number from 1 to 65535."),
        ("HANSARD_PROT", "1", "HANSARD_PROT is no setting; did you mean HANSARD_PORT?"),
        ("HANSARD_LOG", "xml", "HANSARD_LOG is 'xml'; it can be text or json."),
        (
            "HANSARD_LIMIT_SENDS",
            "20",
            "HANSARD_LIMIT_SENDS is '20'; it is COUNT/SECONDS/BURST, like 20/1/100, each 1 or more.",
        ),
        (
            "HANSARD_LIMIT_LOGINS",
            "20/0/1",
            "HANSARD_LIMIT_LOGINS is '20/0/1'; it is COUNT/SECONDS/BURST, like 20/1/100, each 1 or more.",
        ),
        (
            "HANSARD_TRUSTED_PROXIES",
            "10.0.0.1/8",
            "HANSARD_TRUSTED_PROXIES: 10.0.0.1/8 has host bits set; it is a list like 10.0.0.0/8, 192.0.2.7.",
        ),
        ("HANSARD_DATABASE_URL", "mysql://x", "HANSARD_DATABASE_URL does not begin with postgresql:// or postgres://."),
        ("HANSARD_DATABASE_URL", "postgresql://h/d?sslmode=on", SSLMODE),
        ("HANSARD_DATABASE_URL", "postgresql://u:p#w@h/d", UNREADABLE.format("HANSARD_DATABASE_URL")),
        ("HANSARD_MIGRATION_URL", "postgresql://u:p@h:port/d", UNREADABLE.format("HANSARD_MIGRATION_URL")),
        ("HANSARD_DATABASE_URL", "postgresql://u:p/w@h/d", UNREADABLE.format("HANSARD_DATABASE_URL")),
        ("HANSARD_DATABASE_URL", "postgresql://u:p[w@h/d", UNREADABLE.format("HANSARD_DATABASE_URL")),
        ("HANSARD_REDIS_URL", "redis://h:99999/0", UNREADABLE.format("HANSARD_REDIS_URL")),
        (
            "HANSARD_REDIS_URL",
            "redis://h:6379/hansard",
            "HANSARD_REDIS_URL ends in /hansard; what stands there is the number of a database, like /0.",
        ),
        ("HANSARD_REDIS_URL", "unix://", f"HANSARD_REDIS_URL {STROKES} unix:///run/server.sock."),
        ("HANSARD_BLOBS_URL", "file://srv/files", f"HANSARD_BLOBS_URL {STROKES} file:///srv/hansard."),
        ("HANSARD_BLOBS_URL", "file:///", f"HANSARD_BLOBS_URL {STROKES} file:///srv/hansard."),
        ("HANSARD_MAIL_URL", "file://mails", f"HANSARD_MAIL_URL {STROKES} file:///srv/hansard."),
        ("HANSARD_MAIL_URL", "smtp://h:x", UNREADABLE.format("HANSARD_MAIL_URL")),
        (
            "HANSARD_BLOBS_URL",
            "s3:///prefix",
            "HANSARD_BLOBS_URL names nothing after s3://; it is like s3://bucket/prefix.",
        ),
        (
            "HANSARD_S3_ENDPOINT",
            "http://",
            "HANSARD_S3_ENDPOINT names nothing after http://; it is like https://host.",
        ),
        (
            "HANSARD_SCANNER_URL",
            "tcp://:3310",
            "HANSARD_SCANNER_URL names nothing after tcp://; it is like tcp://clamd:3310.",
        ),
        ("HANSARD_SCANNER_URL", "clamd:3310", "HANSARD_SCANNER_URL does not begin with tcp:// or unix://."),
        ("HANSARD_SCANNER_URL", "tcp://clamd:x", UNREADABLE.format("HANSARD_SCANNER_URL")),
        (
            "HANSARD_ORIGINS",
            "https://chat.example:port",
            "HANSARD_ORIGINS has 'https://chat.example:port'; an origin is like https://chat.example.com.",
        ),
        (
            "HANSARD_TLS_CERTIFICATE",
            "chat.pem",
            "HANSARD_TLS_CERTIFICATE and HANSARD_TLS_KEY are set together, or neither is.",
        ),
        ("HANSARD_WEB", "yes", "HANSARD_WEB is 'yes'; it is on, off, or like https://chat.example.com/."),
        (
            "HANSARD_ORIGINS",
            "chat.example",
            "HANSARD_ORIGINS has 'chat.example'; an origin is like https://chat.example.com.",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingRefusedError) as refused:
        read({name: value})
    assert str(refused.value) == says


def test_a_gateway_says_where_it_listens_and_where_it_is_reached() -> None:
    everywhere = read({"HANSARD_HOST": "::", "HANSARD_PORT": "8080"})
    assert (listens_on(everywhere), address(everywhere)) == ("http://[::]:8080", "http://127.0.0.1:8080")
    assert listens_on(read({"HANSARD_HOST": "0.0.0.0"})) == "http://0.0.0.0:8000"


def test_an_address_holds_a_share_of_the_connections() -> None:
    def of(total: int, **given: str) -> int:
        return read({f"HANSARD_{name.upper()}": value for name, value in given.items()}).connections_of(total)

    assert [of(10_000, limits=name) for name in ("strict", "relaxed", "off")] == [300, 3_000, 0]
    assert [of(400, limits=name) for name in ("strict", "relaxed", "off")] == [200, 200, 0]
    assert of(400, limits="off", connections_of_address="7") == 7
