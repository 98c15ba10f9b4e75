"""The parts of formats that are made by hand: ZIPs, headers of mails, cells of tables."""

import email
import email.policy
import io
import zipfile
from datetime import UTC, datetime, timedelta, timezone

import pytest

from workers.exports import mime
from workers.exports.archive import LIMIT_32, Fragment, Member, close, ending
from workers.exports.parts_of_messages import path_name
from workers.exports.tables import safe

AT = datetime(2026, 11, 27, 12, 30, 41, tzinfo=UTC)


def test_a_fragment_with_its_directory_is_a_zip_with_the_times_of_the_record() -> None:
    fragment = Fragment(io.BytesIO())
    fragment.add("ärger/a.txt", AT, b"hello")
    with fragment.member("large", AT.astimezone(timezone(timedelta(hours=5))), large=True) as writer:
        writer.write(b"a" * 10)
        writer.copy(io.BytesIO(b"bcdef"), 3)
    fragment.add("old", datetime(1960, 1, 1, tzinfo=UTC), b"")
    close(fragment)
    archive = zipfile.ZipFile(fragment.file)
    assert archive.testzip() is None and archive.namelist() == ["ärger/a.txt", "large", "old"]
    assert archive.read("large") == b"a" * 10 + b"bcd"
    assert [member.date_time for member in archive.infolist()] == [
        (2026, 11, 27, 12, 30, 40), (2026, 11, 27, 12, 30, 40), (1980, 1, 1, 0, 0, 0),
    ]  # fmt: skip
    with pytest.raises(EOFError), fragment.member("short", AT) as writer:
        writer.copy(io.BytesIO(b"ab"), 3)


def test_more_members_and_bytes_than_the_old_format_can_count() -> None:
    """Where a member of 5 GiB would stand: its directory, with offsets that only ZIP64 has room for."""
    count = 70_000
    lines = b"".join(Member(f"{i}", 0, 0, "", 0, AT).central(0) for i in range(count))
    archive = zipfile.ZipFile(io.BytesIO(lines + ending(count, 0, len(lines))))
    assert len(archive.namelist()) == count
    far = Member("far", LIMIT_32 + 5, 0, "", 7, AT, True).central(LIMIT_32)
    [found] = zipfile.ZipFile(io.BytesIO(far + ending(1, 0, len(far)))).infolist()
    assert (found.file_size, found.header_offset) == (LIMIT_32 + 5, LIMIT_32 + 7)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "",
        " spaced",
        "=?utf-8?B?eA==?=",
        "Ä" * 200,
        "a" * 500,
        "line\r\nBcc: eve@example.com",
        "🎉 party",
        'q"uo\\te',
    ],
)
def test_no_text_ends_its_header(text: str) -> None:
    mail = email.message_from_string(
        mime.header("Subject", text)
        + f"To: {mime.address(text, 'ada@example.com')}\r\n"
        + mime.disposition(text)
        + "\r\n",
        policy=email.policy.default,
    )
    assert set(mail.keys()) == {"Subject", "To", "Content-Disposition"}
    assert all(len(line) <= 78 for line in mime.header("Subject", text).split("\r\n"))
    # Python's own parser puts spaces between the encoded words of a name, and takes some at the ends away.
    flat = "".join(text.split())
    assert "".join(str(mail["Subject"]).split()) == flat
    assert "".join((mail.get_filename() or "").split()) == (flat or "file")
    [to] = mail["To"].addresses
    assert (to.addr_spec, "".join(to.display_name.split())) == ("ada@example.com", flat)


def test_an_address_that_is_none_leads_nowhere() -> None:
    for bad in ("", "a b@example.com", "a@b@c", "a,b@example.com", "é@example.com"):
        assert "<unknown@hansard.invalid>" in mime.address("ada", bad)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1", " =1", "\r=1", "＝1", "'=1"])
def test_no_cell_is_a_formula_and_the_text_can_be_had_back(text: str) -> None:
    assert safe(text) == "'" + text
    assert safe("a=1") == "a=1" and safe("") == ""


@pytest.mark.parametrize(
    ("name", "path"),
    [("../../etc/passwd", "passwd"), ("a/b\\c.txt", "c.txt"), ("", "file"), ("x" * 300 + ".pdf", "x" * 99 + ".pdf"), ("a\u202etxt.exe", "atxt.exe"), ("CON: *?.txt", "CON_ __.txt"), ("Prötokoll.txt", "Prötokoll.txt")],
)  # fmt: skip
def test_names_of_files_are_harmless_as_paths(name: str, path: str) -> None:
    assert path_name(name) == path
