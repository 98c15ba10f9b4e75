"""What is in a package, in each format; and that the same request gives the same bytes."""

import asyncio
import csv
import email
import email.policy
import io
import json
import os
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from adapters.notary.key import NotaryKey
from tests.exports.deployments import ALL, Exporting, Said, exported, exporting, lines, opened, talk
from tests.gateway.test_proofs import run_verifier
from workers import export_verification

ROOT = Path(__file__).parents[2]
RSMF = json.loads((Path(__file__).parent / "rsmf_2_0.json").read_text())


class Made(NamedTuple):
    scene: Exporting
    said: Said
    package: bytes
    archive: zipfile.ZipFile


@pytest.fixture
async def made(database_url: str, redis_url: str) -> AsyncIterator[Made]:
    async with exporting(database_url, redis_url) as scene:
        said = await talk(scene.hansard)
        package = await exported(scene, formats=ALL)
        yield Made(scene, said, package, opened(package))


async def test_a_package_says_everything_in_every_format(made: Made) -> None:
    """One deployment for all of it: making it takes longer than looking at it."""
    check_manifest(made)
    check_jsonl(made)
    check_csv(made)
    check_eml(made)
    check_slack(made)
    check_rsmf(made)


def manifest(made: Made) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made.archive.read("manifest.json"))
    return found


def check_manifest(made: Made) -> None:
    found = manifest(made)
    assert [each["path"] for each in found["members"]] == made.archive.namelist()[:-1]
    for member in found["members"]:
        content = made.archive.read(member["path"])
        assert (len(content), sha256(content).hexdigest()) == (member["bytes"], member["sha256"])
    assert found["formats"] == ALL and found["record"] == str(made.scene.hansard.services.record_id)
    counts = found["counts"]
    assert (counts["messages"], counts["versions"], counts["deleted"], counts["reactions"]) == (9, 12, 1, 2)
    assert (counts["attachments"], counts["rooms"], counts["erased"], counts["missing"]) == (1, 4, 0, 0)
    dates = {member.date_time for member in made.archive.infolist()}
    assert min(dates)[0] >= 2026


def messages(made: Made) -> dict[str, Any]:
    found = {item["message_id"]: item for item in lines(made.archive, "jsonl") if item["type"] == "message"}
    return {name: found[message_id] for name, message_id in made.said.messages.items()}


def check_jsonl(made: Made) -> None:
    found, said = messages(made), made.said
    assert [(each["what"], each["content"]) for each in found["edited"]["versions"]] == [
        ("posted", "first words"), ("edited", "second words"), ("edited", "third words"),
    ]  # fmt: skip
    posted, deletion = found["deleted"]["versions"]
    assert (posted["content"], deletion["what"], deletion["by"], deletion["reason"]) == (
        "I never said this", "deleted", said.ada.id, "off topic",
    )  # fmt: skip
    thumbs, party = found["plain"]["reactions"]
    assert (thumbs["emoji"], thumbs["by"], thumbs["removed_at"]) == ("👍", said.ben.id, None)
    assert (party["emoji"], party["by"]) == ("🎉", said.ada.id) and party["removed_at"] > party["at"]
    assert found["reply"]["thread_id"] == said.messages["plain"]
    assert [each["message_id"] for each in found["plain"]["replies"]] == [said.messages["reply"]]
    attachment = found["file"]["attachment"]
    content = made.archive.read(attachment["path"])
    assert content == b"the minutes of the meeting\n" * 40 and sha256(content).hexdigest() == attachment["sha256"]
    room = json.loads(made.archive.read(f"rooms/{said.rooms['public']}.json"))
    ada, ben = room["stays"]
    assert (ada["user_id"], ada["left_at"]) == (said.ada.id, None)
    assert (ben["user_id"], ben["ended_by"]) == (said.ben.id, "left") and ben["left_at"] > ben["joined_at"]
    assert room["names"] == {said.ada.id: "ada", said.ben.id: "ben"}


def check_csv(made: Made) -> None:
    rows: list[dict[str, str]] = []
    for name in made.archive.namelist():
        if name.startswith("csv/"):
            rows += csv.DictReader(io.StringIO(made.archive.read(name).decode("utf-8-sig"), newline=""))
    by_message = [row for row in rows if row["message_id"] == made.said.messages["edited"]]
    assert [(row["what"], row["content"]) for row in by_message] == [
        ("message.posted", "first words"), ("message.edited", "second words"), ("message.edited", "third words"),
    ]  # fmt: skip
    assert '\'=HYPERLINK("http://evil")' in {row["content"] for row in rows}
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    deleted = [row for row in rows if row["what"] == "message.deleted"]
    assert [(row["actor"], row["reason"]) for row in deleted] == [("ada", "off topic")]


def mail_of(made: Made, folder: str, room: str, ending: str) -> Any:
    [name] = [
        name for name in made.archive.namelist() if name.startswith(f"{folder}/{room}/") and name.endswith(ending)
    ]
    content = made.archive.read(name)
    assert b"\n" not in content.replace(b"\r\n", b"") and max(map(len, content.split(b"\r\n"))) <= 998
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert not [part.defects for part in mail.walk() if part.defects]
    return mail


def check_eml(made: Made) -> None:
    mail = mail_of(made, "eml", made.said.rooms["public"], ".eml")
    assert mail["Subject"].startswith("General, “quoted” <b>, 20")
    assert [address.display_name for address in mail["To"].addresses] == ["ada", "ben"]
    text, html = mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()
    assert "ada: third words" in text and "before: first words" in text and "ben: I never said this" in text
    assert "deleted" in text and "(off topic)" in text and "👍 by ben" in text
    assert "hello &amp; &lt;welcome&gt;" in html and "<welcome>" not in html
    [attachment] = mail.iter_attachments()
    assert attachment.get_filename() == "Prötokoll.txt" and attachment.get_content().startswith("the minutes")


def check_slack(made: Made) -> None:
    slack = zipfile.ZipFile(io.BytesIO(made.archive.read("slack-export.zip")))
    assert slack.testzip() is None
    users = {user["id"]: user["name"] for user in json.loads(slack.read("users.json"))}
    assert sorted(users.values()) == ["ada", "ben", "eve"]
    lists = {name: json.loads(slack.read(f"{name}.json")) for name in ("channels", "groups", "dms", "mpims")}
    assert {name: len(found) for name, found in lists.items()} == {"channels": 1, "groups": 1, "dms": 1, "mpims": 1}
    [channel] = lists["channels"]
    day = [name for name in slack.namelist() if name.startswith(channel["name"] + "/")]
    entries = [entry for name in day for entry in json.loads(slack.read(name))]
    assert len({entry["ts"] for entry in entries}) == len(entries)
    plain = next(entry for entry in entries if entry.get("client_msg_id") == made.said.messages["plain"])
    reply = next(entry for entry in entries if entry.get("client_msg_id") == made.said.messages["reply"])
    assert plain["text"] == "hello &amp; &lt;welcome&gt;" and plain["replies"][0]["ts"] == reply["ts"]
    assert reply["thread_ts"] == plain["ts"] == plain["thread_ts"]
    assert [(each["name"], each["count"]) for each in plain["reactions"]] == [("thumbsup", 1)]
    changed = [entry for entry in entries if entry.get("subtype") == "message_changed"]
    assert [(each["previous_message"]["text"], each["message"]["text"]) for each in changed] == [
        ("first words", "second words"), ("second words", "third words"),
    ]  # fmt: skip
    [deleted] = [entry for entry in entries if entry.get("subtype") == "message_deleted"]
    assert deleted["previous_message"]["text"] == "I never said this" and users[deleted["user"]] == "ada"
    [file] = next(entry["files"] for entry in entries if "files" in entry)
    assert slack.read(file["url_private"]).startswith(b"the minutes")


def check_rsmf(made: Made) -> None:
    names = [name for name in made.archive.namelist() if name.startswith("rsmf/")]
    assert len(names) == 4
    for name in names:
        room = name.split("/")[1]
        mail = mail_of(made, "rsmf", room, ".rsmf")
        [attachment] = mail.iter_attachments()
        assert attachment.get_filename() == "rsmf.zip" and mail["X-RSMF-Version"] == "2.0.0"
        inner = zipfile.ZipFile(io.BytesIO(attachment.get_content()))
        assert inner.testzip() is None
        found = json.loads(inner.read("rsmf_manifest.json"))
        jsonschema.Draft7Validator(RSMF, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER).validate(found)
        assert int(mail["X-RSMF-EventCount"]) == len(found["events"])
        check_references(found, inner)
        if room == made.said.rooms["public"]:
            check_rsmf_events(made, {event["id"]: event for event in found["events"]}, found)


def check_references(found: dict[str, Any], inner: zipfile.ZipFile) -> None:
    """What the description of the format asks for and a schema cannot say."""
    people = {person["id"] for person in found["participants"]}
    [conversation] = found["conversations"]
    events = {event["id"] for event in found["events"]}
    assert len(events) == len(found["events"]) and set(conversation["participants"]) <= people
    files = {attachment["id"] for event in found["events"] for attachment in event.get("attachments", [])}
    assert {"rsmf_manifest.json", *files} == set(inner.namelist())
    for event in found["events"]:
        assert event["conversation"] == conversation["id"] and event.get("parent", event["id"]) in events
        edits = [edit["participant"] for edit in event.get("edits", [])]
        reacting = [person for reaction in event.get("reactions", []) for person in reaction["participants"]]
        assert {event.get("participant", next(iter(people))), *edits, *reacting} <= people


def check_rsmf_events(made: Made, events: dict[str, Any], found: dict[str, Any]) -> None:
    said = made.said
    edited, deleted = events[said.messages["edited"]], events[said.messages["deleted"]]
    assert [(each["previous"], each["new"]) for each in edited["edits"]] == [
        ("first words", "second words"), ("second words", "third words"),
    ]  # fmt: skip
    told = {each["name"]: each["value"] for each in deleted["custom"]}
    assert (deleted["deleted"], deleted["body"], told["deleted_by"]) == (True, "I never said this", said.ada.id)
    assert events[said.messages["reply"]]["parent"] == said.messages["plain"]
    assert events[said.messages["plain"]]["reactions"] == [{"value": "👍", "count": 1, "participants": [said.ben.id]}]
    assert events[said.messages["file"]]["attachments"][0]["display"] == "Prötokoll.txt"
    kinds = [event["type"] for event in found["events"]]
    assert (kinds.count("join"), kinds.count("leave"), kinds.count("history")) == (2, 1, 1)


VIEWER = ROOT / ".slack-viewer" / "bin" / "slack-export-viewer"


@pytest.mark.skipif(
    not VIEWER.exists(), reason="'make slack-viewer' brings slack-export-viewer, in an environment of its own"
)
async def test_an_independent_viewer_opens_the_slack_archive(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "slack-export.zip"
    file.write_bytes(made.archive.read("slack-export.zip"))
    process = await asyncio.create_subprocess_exec(
        *(VIEWER, "--archive", file, "--html-only", "--show-dms", "--no-browser", "--output-dir", tmp_path / "html"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0 and b"Traceback" not in said, said.decode()
    pages = "\n".join(page.read_text() for page in (tmp_path / "html").rglob("*.html"))
    for words in (
        "third words", "I never said this", "between us", "only you", "us three", "in the thread", "first words",
        "hello &amp; &lt;welcome&gt;", "Prötokoll.txt", "ada", "ben", "eve", "[member.left] ben",
    ):  # fmt: skip
        assert words in pages, words
    assert "<welcome>" not in pages


async def test_the_same_stretch_gives_the_same_bytes_whatever_happened_since(made: Made) -> None:
    at = await made.scene.source.recorded_at(manifest(made)["range"]["until"])
    assert at is not None
    await made.said.ada.say(made.said.rooms["public"], "said later")
    await made.said.ada.ask("PATCH", f"/messages/{made.said.messages['plain']}", 200, json={"content": "edited later"})
    # Parts of another size, the formats in another order, and a worker that knows nothing of the first.
    made.scene.worker._part_bytes = 1
    again = await exported(made.scene, formats=[*reversed(ALL)], to=(at + timedelta(microseconds=1)).isoformat())
    assert again == made.package
    later = opened(
        await exported(made.scene, formats=["jsonl"], **{"from": (at + timedelta(microseconds=1)).isoformat()})
    )
    items = [item for item in lines(later, "jsonl") if item["type"] == "message"]
    # What was said before the stretch is in it for what became of it there, with all its versions.
    assert [[version["content"] for version in item["versions"]] for item in items] == [
        ["said later"], ["hello & <welcome>", "edited later"],
    ]  # fmt: skip


async def test_a_package_verifies_offline_with_nothing_but_python(made: Made, tmp_path: Path) -> None:
    """By the verifier in one file, and by the server's own, which knows nothing of the other."""
    file = tmp_path / "package.zip"

    async def judged(package: bytes, key: str) -> tuple[int, str]:
        file.write_bytes(package)
        code, said = await run_verifier("export", file, "--key", key)
        ours, words = export_verification.judge(file, key)
        assert ours == code, (said, words)
        return code, said

    code, said = await judged(made.package, made.scene.key)
    assert (code, "9 messages of" in said) == (0, True), said
    for name, change, words in ALTERED:
        code, said = await judged(altered(made.archive, name, change), made.scene.key)
        assert (code, words in said) == (1, True), (name, said)
    other = str(NotaryKey(os.urandom(32), made.scene.key.partition("+")[0]).verifier)
    assert (await judged(made.package, other))[0] == 2
    assert (await judged(made.package[:-100], made.scene.key))[0] == 2
    file.write_bytes(made.package)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.cli", "verify", str(file), "--key", made.scene.key),
        stdout=asyncio.subprocess.PIPE,
    )
    words_of_command, _ = await process.communicate()
    assert (process.returncode, words_of_command.startswith(b"whole: 9 messages of ")) == (0, True)


def swapped(before: bytes, after: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(before, after)


def moved(content: bytes) -> bytes:
    """Have the first version of the first message be of another time."""
    first, *rest = content.splitlines(keepends=True)
    item = json.loads(first)
    item["at"] = "2020-01-01T00:00:00Z"
    return b"".join([json.dumps(item).encode() + b"\n", *rest])


# Each with a manifest that was made to fit.
ALTERED: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("proofs/", swapped(b'"version":1,', b'"version":2,'), "is not the one that was signed"),
    ("proofs/", lambda content: b"".join(content.splitlines(keepends=True)[1:]), "not proved"),
    ("jsonl/", moved, "not proved"),
    ("jsonl/", lambda content: b"".join(content.splitlines(keepends=True)[1:]), "more or fewer"),
]


def altered(archive: zipfile.ZipFile, prefix: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return the package with one member altered, and the manifest too."""
    name = next(name for name in archive.namelist() if name.startswith(prefix))
    found = json.loads(archive.read("manifest.json"))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as copy:
        for each in archive.namelist():
            content = archive.read(each)
            if each == name:
                assert change(content) != content
                content = change(content)
                member = next(member for member in found["members"] if member["path"] == each)
                member |= {"bytes": len(content), "sha256": sha256(content).hexdigest()}
            copy.writestr(each, json.dumps(found) if each == "manifest.json" else content)
    return target.getvalue()
