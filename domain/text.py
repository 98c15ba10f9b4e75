"""Text that people write: which is refused, and how names are compared."""

import re
import unicodedata

import idna

from domain.bounds import (
    AVATAR_URL_CHARS_MAX,
    EMAIL_CHARS_MAX,
    HOLD_NAME_CHARS_MAX,
    MARKS_IN_A_ROW_MAX,
    MESSAGE_CHARS_MAX,
    PASSWORD_BYTES_MAX,
    ROOM_DESCRIPTION_CHARS_MAX,
    ROOM_NAME_CHARS_MAX,
    ROOM_TOPIC_CHARS_MAX,
    USERNAME_CHARS_MAX,
    USERNAME_CHARS_MIN,
)
from domain.errors import InvalidError

# Control characters (general category Cc) but tab and newline, and surrogates, which are no characters at all.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
PRINTABLE_PATTERN = (
    r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$"  # the same for JSON Schema, which matches a whole text
)
LINE_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
LINE_BREAKING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Default_Ignorable_Code_Point (UAX 44): nothing is shown for them, so two names that differ by one look the same.
INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
EMPTY = "\u2800\U0001d159"  # a Braille pattern without dots, a musical null notehead
# The grammar of an address that browsers accept (WHATWG HTML, 4.10.5.1.5), with a dot in the domain.
EMAIL = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+",
    re.IGNORECASE | re.ASCII,  # without ASCII, the long s and the Kelvin sign pass for s and k
)
DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what separates the labels of a domain (UTS 46, 2.3)
MARKS_HEAPED = re.compile(rf"[^x]{{{MARKS_IN_A_ROW_MAX + 1}}}|([^x])\1")
AVATAR_URL = re.compile(r"https?://[^\s/?#@]+(?:[/?#]\S*)?", re.IGNORECASE)


def fold(name: str) -> str:
    """Return the form in which e-mails and usernames are compared: NFKC, case-folded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def fold_email(email: str) -> str:
    """Return the form in which e-mail addresses are compared: as names are, a domain as its A-labels (IDNA 2008, UTS 46)."""
    local, at, domain = email.rpartition("@")
    try:
        return fold(email) if domain.isascii() else fold(local) + at + idna.encode(domain, uts46=True).decode()
    except UnicodeError:
        return fold(email)  # no domain: nobody has such an address


def mail_address(email: str) -> str:
    """Return an address as mail servers take it, its domain in ASCII."""
    local, at, domain = email.rpartition("@")
    return email if domain.isascii() else f"{local}{at}{fold_email(at + domain)[1:]}"


def normalised(password: str) -> str:
    """Return the form in which passwords are judged and hashed (NIST SP 800-63B, 5.1.1.2): the same however it is typed."""
    return unicodedata.normalize("NFKC", password)


def _ascii_domain(email: str) -> str:
    """Return an address with its domain in ASCII.

    Raise `UnicodeError` for what is not a domain, and for labels that only look foreign: a Kelvin sign is not a k.
    """
    local, at, domain = email.rpartition("@")
    if domain.isascii():
        return email
    for label in DOTS.split(domain):
        if not label.isascii() and not idna.encode(label, uts46=True).startswith(b"xn--"):
            raise UnicodeError(label)
    return local + at + idna.encode(domain, uts46=True).decode()


def check_content(content: str, *, chars_min: int = 1) -> None:
    """Refuse message text that is empty, too long or holds control characters other than tab and newline."""
    _check_length(content, "content", chars_min, MESSAGE_CHARS_MAX)
    if found := UNPRINTABLE.search(content):
        raise InvalidError(f"Character {found.start()} (U+{ord(found[0]):04X}) is not allowed.", pointer="/content")


def check_email(email: str) -> None:
    """Refuse what browsers do not accept as an e-mail address. Its domain may be an internationalised one."""
    _check_length(email, "email", 3, EMAIL_CHARS_MAX)
    try:
        address = _ascii_domain(email)
    except UnicodeError:
        address = ""
    if not EMAIL.fullmatch(address) or len(address) > EMAIL_CHARS_MAX:
        raise InvalidError("This is not an e-mail address.", pointer="/email")


def check_username(username: str) -> None:
    """Refuse a username unless it has 2 to 50 visible characters: letters and digits of any script, and `_ . -`.

    One of them must be a letter or digit. At most four marks (accents, vowel signs) may follow one another, and none may
    follow itself (UTS 39, 5.4).
    """
    _check_length(username, "username", USERNAME_CHARS_MIN, USERNAME_CHARS_MAX)
    if not all(c.isalnum() or c in "_.-" or unicodedata.category(c) in ("Mn", "Mc") for c in username):
        raise InvalidError("A username has letters, digits, '_', '.' and '-' only.", pointer="/username")
    if INVISIBLE.search(username) or unicodedata.category(username[0]).startswith("M"):
        raise InvalidError("A username has visible characters only, and begins with one.", pointer="/username")
    if not any(c.isalnum() for c in username):
        raise InvalidError("A username has at least one letter or digit.", pointer="/username")
    if MARKS_HEAPED.search("".join(map(_mark_of, unicodedata.normalize("NFD", username)))):
        raise InvalidError("A username has too many accents on one letter.", pointer="/username")


def _mark_of(character: str) -> str:
    """Return a combining mark as it is, and "x" for anything else."""
    return character if unicodedata.category(character) in ("Mn", "Me") else "x"


def check_password(password: str, *, chars_min: int, field: str = "password") -> None:
    """Refuse a password that is too short, or longer than 1,024 bytes. No kind of character is required, nothing is cut off."""
    pointer = f"/{field}"
    if len(password) < chars_min:
        raise InvalidError(f"A password has {chars_min} or more characters.", pointer=pointer)
    if "\x00" in password or UNPRINTABLE.search(password):
        raise InvalidError("A password has no control characters.", pointer=pointer)
    if len(password.encode()) > PASSWORD_BYTES_MAX:
        raise InvalidError(f"A password has at most {PASSWORD_BYTES_MAX} bytes.", pointer=pointer)


def is_about(password: str, *names: str) -> bool:
    """Return whether a password is one of these names or that of the product, with or without digits and signs around it."""
    bare = fold(password).strip("0123456789!?.-_*#$ ")
    parts = {part for name in names for part in (fold(name), fold(name).partition("@")[0])}
    return fold(password) in parts or bare in parts | {"hansard", "password", ""}


def check_avatar_url(url: str) -> None:
    _check_length(url, "avatar_url", 1, AVATAR_URL_CHARS_MAX)
    if not AVATAR_URL.fullmatch(url) or LINE_BREAKING.search(url):
        raise InvalidError("An avatar is an http or https address.", pointer="/avatar_url")


def check_room_name(name: str) -> None:
    _check_length(name, "name", 1, ROOM_NAME_CHARS_MAX)
    if not _is_line(name):
        raise InvalidError("A room's name is one line of visible characters.", pointer="/name")


def check_hold_name(name: str) -> None:
    _check_length(name, "name", 1, HOLD_NAME_CHARS_MAX)
    if not _is_line(name):
        raise InvalidError("A legal hold's name is one line of visible characters.", pointer="/name")


def _is_line(text: str) -> bool:
    return not LINE_BREAKING.search(text) and any(map(_shows, INVISIBLE.sub("", text)))


def _shows(character: str) -> bool:
    """Return whether a character can be seen when it stands alone. Blanks, marks, format characters and empty signs cannot."""
    return unicodedata.category(character)[0] not in "ZM" and character not in EMPTY and not _is_format(character)


def _is_format(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def check_room_description(description: str) -> None:
    _check_length(description, "description", 0, ROOM_DESCRIPTION_CHARS_MAX)
    if UNPRINTABLE.search(description):
        raise InvalidError("A description has no control characters but tab and newline.", pointer="/description")


def check_room_topic(topic: str) -> None:
    _check_length(topic, "topic", 1, ROOM_TOPIC_CHARS_MAX)
    if LINE_BREAKING.search(topic):
        raise InvalidError("A topic is one line without control characters.", pointer="/topic")


def _check_length(value: str, field: str, low: int, high: int) -> None:
    if not low <= len(value) <= high:
        raise InvalidError(f"It has {len(value)} characters; {low} to {high} are allowed.", pointer=f"/{field}")
