"""A file's decisions: given facts, when somebody decides, then facts, silence or a refusal."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import file
from domain.errors import FileEndedError, FileNotRetryableError, FilePendingError, InvalidError, NoSuchFileError
from domain.file import (
    FILE,
    FileCompleted,
    FileFailed,
    FileProcessed,
    FileReceived,
    FileRetried,
    FileScanned,
    FileShared,
    Variant,
)
from domain.file_name import file_name, storage_path
from domain.file_snapshot import FileSnapshot, FileVariant
from domain.ids import FileId, MessageId, RoomId
from tests.domain.test_decisions import ADA, BEN, DAY, LOBBY, given_facts

F, M, ATTIC = FileId(UUID(int=30)), MessageId(UUID(int=20)), RoomId(UUID(int=11))
RECEIVED = FileReceived(F, ADA, "cat.png", "image/png", 100, "ab" * 32)
TEXT = FileReceived(F, ADA, "notes.txt", "text/plain", 100, "ab" * 32)
CLEAN = FileScanned(F, ADA, "basic")
ORIGINAL = Variant("original", 4, 3, "image/webp", 90, "cd" * 32)
SHARED = FileShared(F, ADA, LOBBY, M)
AT = DAY.replace(minute=1)
FAILED = FileFailed(F, ADA, None, "cat.png", "image/png", 100, "basic", AT, "gave_up")


def show(state: Any, room_id: RoomId = LOBBY, **changed: Any) -> Any:
    return file.share(state, **{"by": ADA, "room_id": room_id, "message_id": M, "message_type": "file", **changed})


class TestShowing:
    def test_only_its_uploader_shows_a_file(self) -> None:
        state = given_facts(FILE, RECEIVED)
        assert show(state) == (SHARED,)
        with pytest.raises(NoSuchFileError):
            show(state, by=BEN)
        with pytest.raises(NoSuchFileError):
            show(None)

    def test_a_pending_file_is_shown_in_one_room_and_a_completed_one_in_any(self) -> None:
        state = given_facts(FILE, RECEIVED, SHARED)
        assert show(state) == ()
        with pytest.raises(FilePendingError):
            show(state, ATTIC)
        done = given_facts(FILE, TEXT, SHARED, *file.note_scan(given_facts(FILE, TEXT), scan="basic", signature=None))
        assert show(done, ATTIC) == (FileShared(F, ADA, ATTIC, M),)

    def test_a_pending_file_received_for_a_room_is_shown_in_that_room_only(self) -> None:
        meant = FileReceived(F, ADA, "cat.png", "image/png", 100, "ab" * 32, for_room=ATTIC)
        with pytest.raises(FilePendingError):
            show(given_facts(FILE, meant))
        assert show(given_facts(FILE, meant), ATTIC) == (FileShared(F, ADA, ATTIC, M),)

    def test_a_failed_file_is_shown_nowhere(self) -> None:
        with pytest.raises(FileEndedError):
            show(given_facts(FILE, RECEIVED, FAILED))

    def test_an_image_message_shows_a_picture(self) -> None:
        assert show(given_facts(FILE, RECEIVED), message_type="image") == (SHARED,)
        with pytest.raises(InvalidError):
            show(given_facts(FILE, TEXT), message_type="image")


class TestWhatAMessageTellsOfIt:
    def test_before_its_end_what_was_uploaded_and_how_far_it_is(self) -> None:
        state = given_facts(FILE, RECEIVED, CLEAN)
        assert file.snapshot_of(state) == FileSnapshot("cat.png", "image/png", 100, "processing", "basic", AT)

    def test_after_its_end_what_is_downloaded_and_no_hash(self) -> None:
        events = RECEIVED, CLEAN, *file.note_processing(given_facts(FILE, RECEIVED, CLEAN), variants=(ORIGINAL,))
        told = file.snapshot_of(given_facts(FILE, *events))
        ended_at = DAY.replace(minute=len(events))
        made = (FileVariant("original", 4, 3, "image/webp", 90),)
        assert told == FileSnapshot("cat.png", "image/webp", 90, "completed", "basic", AT, ended_at, made)
        assert type(told.forms[0]) is FileVariant


class TestSaga:
    def test_a_clean_picture_is_processed_and_then_completed_in_the_room_that_heard_of_it_first(self) -> None:
        state = given_facts(FILE, RECEIVED, SHARED)
        assert file.note_scan(state, scan="basic", signature=None) == (CLEAN,)
        state = given_facts(FILE, RECEIVED, SHARED, CLEAN)
        assert file.note_processing(state, variants=(ORIGINAL,)) == (
            FileProcessed(F, ADA, (ORIGINAL,)),
            FileCompleted(F, ADA, LOBBY, "cat.png", "image/webp", 90, "basic", AT, "cd" * 32, (ORIGINAL,)),
        )

    def test_what_needs_no_processing_is_completed_by_the_scan(self) -> None:
        assert file.note_scan(given_facts(FILE, TEXT), scan="clamav", signature=None) == (
            FileScanned(F, ADA, "clamav"),
            FileCompleted(F, ADA, None, "notes.txt", "text/plain", 100, "clamav", AT, "ab" * 32),
        )

    def test_what_is_harmful_fails_at_once_and_moderators_are_told(self) -> None:
        scanned, failed = file.note_scan(
            given_facts(FILE, RECEIVED), scan="clamav", signature="Eicar", moderator_ids=(BEN,)
        )
        assert scanned == FileScanned(F, ADA, "clamav", "Eicar")
        assert isinstance(failed, FileFailed)
        assert (failed.reason, failed.moderator_ids, failed.scan) == ("infected", (BEN,), "clamav")

    @pytest.mark.parametrize("mime_type", ["image/heic", "image/jxl", "image/x-canon-cr2"])
    def test_a_photograph_that_cannot_be_made_anew_is_not_given_out(self, mime_type: str) -> None:
        state = given_facts(FILE, FileReceived(F, ADA, "cat", mime_type, 100, "ab" * 32))
        *_, ended = file.note_scan(state, scan="basic", signature=None)
        assert isinstance(ended, FileFailed) and ended.reason == "unsupported"
        with pytest.raises(InvalidError):
            show(state, message_type="image")

    def test_nothing_is_processed_before_it_was_scanned(self) -> None:
        assert file.note_processing(given_facts(FILE, RECEIVED), variants=(ORIGINAL,)) == ()

    def test_an_operator_has_only_what_was_given_up_tried_again(self) -> None:
        assert file.retry(given_facts(FILE, RECEIVED, FAILED)) == (FileRetried(F, ADA, "pending"),)
        again = given_facts(FILE, RECEIVED, CLEAN, FAILED)
        assert file.retry(again) == (FileRetried(F, ADA, "processing"),)
        assert file.retry(given_facts(FILE, RECEIVED)) == ()
        infected = file.note_scan(given_facts(FILE, RECEIVED), scan="basic", signature="Eicar")
        with pytest.raises(FileNotRetryableError):
            file.retry(given_facts(FILE, RECEIVED, *infected))
        with pytest.raises(NoSuchFileError):
            file.retry(None)

    @given(st.lists(st.sampled_from(["clean", "infected", "processed", "slow", "gave_up"]), max_size=12))
    def test_whatever_is_said_and_however_often_a_file_ends_at_most_once(self, said: list[str]) -> None:
        for received in (RECEIVED, TEXT):
            events: list[Any] = [received]
            for word in said:
                state = given_facts(FILE, *events)
                match word:
                    case "clean" | "infected":
                        signature = None if word == "clean" else "Eicar"
                        events += file.note_scan(state, scan="basic", signature=signature)
                    case "processed":
                        events += file.note_processing(state, variants=(ORIGINAL,))
                    case _:
                        events += file.fail(state, reason="too_slow" if word == "slow" else "gave_up")
            ends = [recorded for recorded in events if isinstance(recorded, (FileCompleted, FileFailed))]
            assert len(ends) <= 1
            assert not ends or events[-1] is ends[0]


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\cat.png", "cat.png"),
        ("a\x00b\r\nSet-Cookie: x.png", "abSet-Cookie: x.png"),
        ("..", "file"),
        ("", "file"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("x" * 10_240 + ".jpeg", "x" * 250 + ".jpeg"),
        ("y" * 300, "y" * 255),
        ("\ud800.txt", "?.txt"),
        (".gitignore", ".gitignore"),
        ("report v1.2 final", "report v1.2 final"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.pdf",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.pdf",
        ),  # Persian, with ZWNJ
        (
            "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f.png",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f.png",
        ),
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3.txt", "\u0dc1\u0dca\u200d\u0dbb\u0dd3.txt"),  # Sinhala, with ZWJ
        ("\u2067x\u2069\u200fy.txt", "xy.txt"),
        ("\u200b\u2060", "file"),
        (". .", "file"),
    ],
)
def test_a_name_is_one_visible_line_and_no_path(given_name: str, kept: str) -> None:
    assert file_name(given_name) == kept


@given(st.text(max_size=400))
def test_no_name_whatever_leads_anywhere(given_name: str) -> None:
    name = file_name(given_name)
    assert 1 <= len(name) <= 255
    assert "/" not in name and "\\" not in name
    assert not set(name) & set("\r\n\x00") and name not in (".", "..")
    name.encode()


def test_a_blob_stands_under_its_hash() -> None:
    assert storage_path("ab" * 32) == "blobs/ab/" + "ab" * 32
    assert storage_path("") == ""
