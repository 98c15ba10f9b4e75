"""Checks that look at more than one setting, or at what a text means: URLs, limits, and what production refuses."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from runtime import urls
from runtime.settings import PREFIX, SettingRefusedError, Settings

DEFAULT_SECRETS = frozenset({"hansard", "postgres", "password", "secret", "changeme", "admin", "redis", "root"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# Of Postgres' modes those that check a certificate, and the one that says that there is none.
SSLMODES = frozenset({"verify-full", "verify-ca", "disable"})
# Of read tables; their modules take a while to load.
GROUPS = frozenset({"live", "message_html", "audit_index", "past", "notifications"})
CONTACT = re.compile(r"(?:mailto:[^@\s]+@[^@\s]+|https://[^\s/]+\S*)")
ORIGIN = re.compile(r"https?://([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?")
PAGE = re.compile(r"https?://[!-~]+")


def check(settings: Settings) -> None:
    """Raise `SettingRefusedError` for the first thing that is wrong."""
    _check_urls(settings)
    if settings.has_tls != (settings.tls_key != Path("")):
        raise SettingRefusedError("HANSARD_TLS_CERTIFICATE and HANSARD_TLS_KEY are set together, or neither is.")
    _check_limits(settings)
    _check_metrics(settings)
    _check_push(settings)
    if settings.env == "production":
        _check_given(settings)
        _check_passwords(settings)
        _check_transport_and_limits(settings)


def _check_urls(settings: Settings) -> None:
    for name in urls.SCHEMES:
        url = getattr(settings, name.removeprefix(PREFIX).lower())
        if url and (wrong := urls.fault(name, url)):
            raise SettingRefusedError(wrong)
    for origin in settings.origins:
        if not ORIGIN.fullmatch(origin):
            raise SettingRefusedError(f"HANSARD_ORIGINS has {origin!r}; an origin is like https://chat.example.com.")
    if settings.web not in ("on", "off") and not PAGE.fullmatch(settings.web):
        raise SettingRefusedError(f"HANSARD_WEB is {settings.web!r}; it is on, off, or like https://chat.example.com/.")
    if unknown := set(settings.stopping) - GROUPS:
        raise SettingRefusedError(
            f"HANSARD_STOPPING has {', '.join(sorted(unknown))}; groups of read tables are {', '.join(sorted(GROUPS))}."
        )


def _check_limits(settings: Settings) -> None:
    assert settings.login_passwords is not None, "what is no log-in is refused on the way"
    assert settings.approvals is not None, "what is no subject is refused on the way"
    assert settings.quotas, "what cannot be read is refused on the way"
    try:
        assert settings.proxies is not None
    except ValueError as error:
        raise SettingRefusedError(
            f"HANSARD_TRUSTED_PROXIES: {error}; it is a list like 10.0.0.0/8, 192.0.2.7."
        ) from None


def _check_push(settings: Settings) -> None:
    try:
        assert settings.networks is not None
    except ValueError as error:
        raise SettingRefusedError(
            f"HANSARD_PUSH_NETWORKS: {error}; it is a list like 10.1.2.0/24, 192.0.2.7."
        ) from None
    if not CONTACT.fullmatch(settings.contact):
        raise SettingRefusedError(
            f"HANSARD_PUSH_CONTACT is {settings.contact!r}; it is like mailto:you@example.com or https://example.com."
        )


def _check_metrics(settings: Settings) -> None:
    """Check the address for metrics. The port after it must be a port, too: `hansard up` has its worker listen there."""
    given, found = settings.metrics_listen, settings.metrics_address
    if given and (found is None or not 1 <= found[1] < 65535):
        raise SettingRefusedError(f"HANSARD_METRICS_LISTEN is {given!r}; it is HOST:PORT, like 127.0.0.1:9464.")


def _check_given(settings: Settings) -> None:
    """Raise `SettingRefusedError` unless servers and key are given: in production nothing is embedded and nothing is made up."""
    for name, given in (
        ("HANSARD_DATABASE_URL", settings.database_url or settings.migration_url),
        ("HANSARD_REDIS_URL", settings.redis_url),
        ("HANSARD_MASTER_KEY_FILE", settings.master_key_file != Path("")),
        ("HANSARD_SCANNER_URL", settings.scanner_url),
    ):
        if not given:
            raise SettingRefusedError(f"{name} must be set when HANSARD_ENV is production.")


def _check_passwords(settings: Settings) -> None:
    for name, url in (*_postgres_urls(settings), ("HANSARD_REDIS_URL", settings.redis_url)):
        if (urlsplit(url).password or "").lower() in DEFAULT_SECRETS:
            raise SettingRefusedError(f"{name} holds a password that everybody knows; HANSARD_ENV is production.")
    if any(password.lower() in DEFAULT_SECRETS for password in settings.login_passwords.values()):
        raise SettingRefusedError("HANSARD_LOGINS holds a password that everybody knows; HANSARD_ENV is production.")


def _check_transport_and_limits(settings: Settings) -> None:
    """Raise `SettingRefusedError` for what would go over a network in plain, or without a limit."""
    for name, url in _postgres_urls(settings):
        if url and not _is_local(urlsplit(url).hostname) and _sslmode(urlsplit(url).query) not in SSLMODES:
            raise SettingRefusedError(
                f"{name} does not say how Postgres is to show who it is; HANSARD_ENV is production. "
                "Add ?sslmode=verify-full (or disable, where the network itself is private)."
            )
    if settings.limits == "off":
        raise SettingRefusedError("HANSARD_LIMITS is off; when HANSARD_ENV is production it is strict or relaxed.")
    for origin in settings.origins:
        if not origin.startswith("https://"):
            raise SettingRefusedError(
                f"HANSARD_ORIGINS has {origin!r}; when HANSARD_ENV is production origins are https."
            )
    if urlsplit(settings.mail_url).scheme == "smtp+plain" and urlsplit(settings.mail_url).hostname not in LOOPBACK:
        raise SettingRefusedError(
            "HANSARD_MAIL_URL sends in plain; when HANSARD_ENV is production it is smtp:// or smtps://."
        )
    if settings.s3_endpoint.startswith("http://") and not _is_local(urlsplit(settings.s3_endpoint).hostname):
        raise SettingRefusedError("HANSARD_S3_ENDPOINT is not https; HANSARD_ENV is production.")
    if settings.links_url and not settings.links_url.startswith("https://"):
        raise SettingRefusedError("HANSARD_LINKS_URL is not https; HANSARD_ENV is production.")
    if settings.public_url and not settings.public_url.startswith("https://"):
        raise SettingRefusedError("HANSARD_PUBLIC_URL is not https; HANSARD_ENV is production.")


def _postgres_urls(settings: Settings) -> tuple[tuple[str, str], ...]:
    return (
        ("HANSARD_DATABASE_URL", settings.database_url),
        ("HANSARD_MIGRATION_URL", settings.migration_url),
        ("HANSARD_REBUILD_URL", settings.rebuild_url),
        ("HANSARD_PROJECTOR_URL", settings.projector_url),
    )


def _is_local(host: str | None) -> bool:
    return not host or host in LOOPBACK


def _sslmode(query: str) -> str:
    """Return the mode that a URL asks for; asyncpg's default takes any certificate, or none."""
    return dict(parse_qsl(query)).get("sslmode", "prefer")
