"""What a child says is held to what it was asked for: a lie ends the child, fails its job, and gets nowhere else."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.media.child_process import ChildDiedError
from adapters.media.sandbox import Sandbox
from domain.bounds import CHILD_ANSWER_BYTES_MAX, PICTURE_PIXELS_MAX
from domain.errors import InvalidError
from domain.file import FILE, Variant, note_processing
from tests.domain.test_decisions import given_facts
from tests.domain.test_file import CLEAN, RECEIVED
from tests.files import pictures

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
GOOD: dict[str, Any] = {"made": [["thumbnail", 256, 200, "image/png", len(PNG)]], "pages": None}


def lie(after: bytes = PNG, **fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode() + b"\n" + after


def made(*changes: tuple[int, Any]) -> list[list[Any]]:
    [variant] = json.loads(json.dumps(GOOD["made"]))
    for index, value in changes:
        variant[index] = value
    return [variant]


LIES = {
    "a width that no column holds": lie(made=made((1, 2**40))),
    "a width beyond every integer": lie(made=made((1, 10**30))),
    "a side of nothing": lie(made=made((2, 0))),
    "a negative side": lie(made=made((2, -1))),
    "a side longer than was asked for": lie(made=made((1, 257))),
    "a side that is no whole number": lie(made=made((1, 1.5))),
    "a side that is a truth": lie(made=made((1, True))),
    "a side in words": lie(made=made((1, "256"))),
    "a variant that was not asked for": lie(made=made((0, "original"))),
    "a name that is a path": lie(made=made((0, "../thumbnail"))),
    "a name that is no text": lie(made=made((0, None))),
    "the same variant twice": lie(made=made() * 2, after=PNG * 2),
    "no variant": lie(made=[], after=b""),
    "a page of the web": lie(made=made((3, "text/html"))),
    "bytes of another type": lie(after=b"<script>" + PNG[8:]),
    "an empty variant": lie(made=made((4, 0)), after=b""),
    "a negative size": lie(made=made((4, -1))),
    "a size beyond all bounds": lie(made=made((4, CHILD_ANSWER_BYTES_MAX + 1))),
    "more bytes than it announced": lie(after=PNG + b"\n"),
    "pages that nobody asked for": lie(pages=3),
    "a reason that a child may not give": lie(b"", made=[], reason="infected"),
    "a reason and a variant": lie(reason="unreadable"),
    "a reason that is no text": lie(b"", made=[], reason={"too": "slow"}),
    "no JSON": b"hello\n",
    "no object": b"[]\n",
    "lists of lists of lists": b"[" * 20_000 + b"\n",
    "depths in what is passed over": b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}\n",
    "no text at all": b"\xff\xfe\n",
}


@pytest.fixture
def lying() -> Iterator[Sandbox]:
    with Sandbox(module="tests.files.lying_child", size=1, strict=False, wall_seconds=10.0) as sandbox:
        yield sandbox


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(pictures.png())
    return tmp_path / "a.png"


async def ask(sandbox: Sandbox, file: Path, answer: bytes, *operations: str, job: str = "image") -> Any:
    return await sandbox.run(job, file, mime_type=answer.hex(), operations=operations or ("thumbnail",))


async def test_what_can_be_so_is_believed(lying: Sandbox, file: Path) -> None:
    result = await ask(lying, file, lie())
    [variant] = result.made
    assert (variant.name, variant.width, variant.height, variant.mime_type) == ("thumbnail", 256, 200, "image/png")
    assert (variant.content, result.pages, result.reason) == (PNG, None, None)
    assert (await ask(lying, file, lie(b"", made=[], reason="too_large"))).reason == "too_large"
    pages = await ask(lying, file, lie(b"", made=[], pages=3), "count_pages", job="document")
    assert (pages.made, pages.pages) == ((), 3)


@pytest.mark.parametrize("answer", LIES.values(), ids=LIES.keys())
async def test_a_lie_is_no_answer(lying: Sandbox, file: Path, answer: bytes) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(ChildDiedError):
            await ask(lying, file, answer)
    assert lying.pids() == [], "who lied is not asked again"


@pytest.mark.parametrize("pages", [0, -1, 2**31, 1_000_001, "3", True])
async def test_pages_are_a_number_of_pages(lying: Sandbox, file: Path, pages: object) -> None:
    with pytest.raises(ChildDiedError):
        await ask(lying, file, lie(b"", made=[], pages=pages), "count_pages", job="document")


@pytest.mark.parametrize(
    "variants",
    [
        (Variant("poster", 1, 1, "image/png", 9, "cd" * 32),),
        (Variant("preview", 1, 1, "image/png", 9, "cd" * 32),) * 2,
        (Variant("preview", 1, 1, "text/html", 9, "cd" * 32),),
        (Variant("preview", 0, 1, "image/png", 9, "cd" * 32),),
        (Variant("thumbnail", 257, 1, "image/png", 9, "cd" * 32),),
        (Variant("original", PICTURE_PIXELS_MAX, 2, "image/png", 9, "cd" * 32),),
        (Variant("original", 1, 1, "image/png", 0, "cd" * 32),),
    ],
)
def test_the_file_itself_refuses_what_cannot_have_been_made_of_it(variants: tuple[Variant, ...]) -> None:
    state = given_facts(FILE, RECEIVED, CLEAN)
    assert note_processing(state, variants=(Variant("preview", 1280, 1, "image/png", 9, "cd" * 32),))
    with pytest.raises(InvalidError):
        note_processing(state, variants=variants)
