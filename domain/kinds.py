"""Kinds of message, and what each may hold. A new kind is one more class and one more line in `KINDS`."""

from typing import Literal, Protocol

from domain.errors import InvalidError
from domain.ids import FileId
from domain.text import check_content

MessageType = Literal["text", "image", "file", "system"]


class Kind(Protocol):
    """How a kind checks a post before anything else is decided."""

    def check(self, content: str, file_id: FileId | None) -> None:
        """Raise `InvalidError` with a pointer if a message of this kind cannot hold that."""


class Text:
    def check(self, content: str, file_id: FileId | None) -> None:
        check_content(content)
        if file_id is not None:
            raise InvalidError("A text message has no file; its type is image or file.", pointer="/file_id")


class WithFile:
    """An image or a file; the content is a caption and may be empty."""

    def check(self, content: str, file_id: FileId | None) -> None:
        check_content(content, chars_min=0)
        if file_id is None:
            raise InvalidError("A message of this type needs a file_id.", pointer="/file_id")


class System:
    """Projections derive these from events; nobody posts one."""

    def check(self, content: str, file_id: FileId | None) -> None:
        raise InvalidError("System messages are derived from events; nobody can send one.", pointer="/message_type")


KINDS: dict[MessageType, Kind] = {"text": Text(), "image": WithFile(), "file": WithFile(), "system": System()}
