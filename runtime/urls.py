"""URLs among the settings: one that cannot be used is refused when it is read, not when somebody connects.

The sentences name the setting and never the URL: it may hold a password.
"""

from urllib.parse import SplitResult, parse_qsl, urlsplit

SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SCHEMES = {
    "HANSARD_DATABASE_URL": ("postgresql", "postgres"),
    "HANSARD_MIGRATION_URL": ("postgresql", "postgres"),
    "HANSARD_REBUILD_URL": ("postgresql", "postgres"),
    "HANSARD_PROJECTOR_URL": ("postgresql", "postgres"),
    "HANSARD_REDIS_URL": ("redis", "rediss", "unix"),
    "HANSARD_BLOBS_URL": ("file", "s3"),
    "HANSARD_MAIL_URL": ("smtp", "smtps", "smtp+plain", "file"),
    "HANSARD_LINKS_URL": ("https", "http"),
    "HANSARD_PUBLIC_URL": ("https", "http"),
    "HANSARD_S3_ENDPOINT": ("http", "https"),
    "HANSARD_SCANNER_URL": ("tcp", "unix"),
}
# Of schemes that name a host or a bucket: where one must stand, an example.
NAMED = {"tcp": "tcp://clamd:3310", "s3": "s3://bucket/prefix", "http": "https://host", "https": "https://host"}
PATHS = {"file": "file:///srv/hansard", "unix": "unix:///run/server.sock"}


def fault(name: str, url: str) -> str | None:
    """Return a sentence about what is wrong with the URL of this setting; None if nothing is."""
    try:
        parts = urlsplit(url)
        assert parts.port is None or parts.port >= 0, "asking for it parses it"
    except ValueError:
        return _unreadable(name)
    if parts.scheme not in SCHEMES[name]:
        return f"{name} does not begin with {' or '.join(scheme + '://' for scheme in SCHEMES[name])}."
    if parts.fragment and name != "HANSARD_LINKS_URL":
        return _unreadable(name)
    if parts.scheme in NAMED and not parts.hostname:
        return f"{name} names nothing after {parts.scheme}://; it is like {NAMED[parts.scheme]}."
    if parts.scheme in PATHS and (parts.netloc or not parts.path.strip("/")):
        return f"{name} is a whole path after three strokes, like {PATHS[parts.scheme]}."
    if parts.scheme in ("redis", "rediss"):
        return _fault_of_redis(name, parts)
    if parts.scheme in ("postgresql", "postgres"):
        return _fault_of_postgres(name, parts)
    return None


def _unreadable(name: str) -> str:
    return (
        f"{name} cannot be read: a port is a number, and in a name or password # / ? @ : [ are written as "
        "%23 %2F %3F %40 %3A %5B."
    )


def _fault_of_redis(name: str, parts: SplitResult) -> str | None:
    number = parts.path.strip("/")
    if number and not number.isdecimal():
        return f"{name} ends in /{number}; what stands there is the number of a database, like /0."
    return None


def _fault_of_postgres(name: str, parts: SplitResult) -> str | None:
    mode = dict(parse_qsl(parts.query)).get("sslmode")
    if mode is not None and mode not in SSLMODES:
        return f"{name} has sslmode={mode}; it can be {' or '.join(SSLMODES)}."
    return None
