"""Forty hostile files: each ends in the right state, none is downloaded before its verdict, and everything stays alive."""

import asyncio
import io
from typing import Any

from PIL import Image

from tests.blobs.stores import names
from tests.deployments import Person
from tests.files import pictures
from tests.files.deployments import Works, ended, pipeline
from tests.files.test_saga import ends

JPEG, PNG, GIF, PDF = pictures.jpeg(200, 150), pictures.png(), pictures.animation(), pictures.pdf(1)
WEBP = pictures.saved(pictures.gradient(40, 30), "WEBP")
HTML = b"<!DOCTYPE html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>'
EICAR = pictures.harmful()
FRAMES = pictures.animation(2, 16)

# Name, bytes, and how it ends: completed, or the code of its failure.
HOSTILE: list[tuple[str, bytes, str]] = [
    # Bombs
    ("bomb.png", pictures.png_claiming(20_000, 20_000, 20_000), "too_large"),
    ("claims.png", pictures.png_claiming(60_000, 60_000, 1), "too_large"),
    ("short.png", pictures.png_claiming(4_000, 4_000, 3), "completed"),  # what is missing is black
    ("huge.gif", b"GIF89a\xff\xff\xff\xff\x00\x00\x00" + GIF[13:], "too_large"),
    ("frames.gif", pictures.animation(1_200, 4), "completed"),
    ("text.png", pictures.png_with_text("Comment", "x" * 50_000_000), "completed"),
    ("wide.jpg", JPEG.replace(JPEG[JPEG.index(b"\xff\xc0") + 5 : JPEG.index(b"\xff\xc0") + 9], b"\xff\xff\xff\xff", 1), "too_large"),
    ("page.pdf", pictures.page_of("0 0 100000000 100000000"), "completed"),
    ("thin.pdf", pictures.page_of("0 0 1 100000000"), "completed"),
    ("loop.pdf", pictures.endless_pdf(), "unreadable"),
    # Polyglots and disguises
    ("tail.jpg", JPEG + HTML + b"PK\x03\x04" + EICAR[:20], "completed"),
    ("tail.png", PNG + HTML, "completed"),
    ("tail.gif", GIF + b"<?php system($_GET[0]); ?>", "completed"),
    ("comment.gif", GIF[:-1] + b"\x21\xfe\x08<script>\x00;", "completed"),
    ("html.png", HTML, "completed"),
    ("svg.png", SVG, "completed"),
    ("html in.png", PNG[:8] + HTML, "unreadable"),
    ("half.png", PNG[:33] + HTML, "unreadable"),
    ("pdf.png", PDF, "completed"),
    ("png.pdf", PNG, "completed"),
    ("exe.jpg", b"MZ" + bytes(500), "completed"),
    ("script.sh", b"#!/bin/sh\nrm -rf /\n", "completed"),
    ("mz.pdf", b"%PDF-1.4\nMZ" + bytes(200), "unreadable"),
    # Truncations and damage
    ("cut.jpg", JPEG[: len(JPEG) // 2], "unreadable"),
    ("cut.png", PNG[:70], "unreadable"),
    ("cut.gif", FRAMES[:20], "unreadable"),
    ("cut.webp", WEBP[: len(WEBP) // 2], "unreadable"),
    ("cut.pdf", PDF[:60], "unreadable"),
    ("head.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "unreadable"),
    ("noise.webp", b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(range(256)) * 4, "unreadable"),
    ("crc.png", PNG[:45] + bytes([PNG[45] ^ 255]) + PNG[46:], "unreadable"),
    # What must not get out
    ("gps.jpg", pictures.with_place(), "completed"),
    ("locked.pdf", pictures.encrypted_pdf(), "completed"),
    ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"Exif" + bytes(99), "unsupported"),
    ("scripted.pdf", pictures.scripted_pdf(), "completed"),
    ("eicar.png", EICAR, "infected"),
    ("eicar tail.jpg", JPEG + EICAR, "infected"),
    # Names
    ("../../../../etc/passwd", b"text", "completed"),
    ("nul\x00byte.png", PNG, "completed"),
    ("line\r\nSet-Cookie: a=b.png", PNG, "completed"),
    ("n" * 10_240 + ".png", PNG, "completed"),
    ("\u202egnp.exe", b"MZ" + bytes(100), "completed"),
]  # fmt: skip


async def test_forty_hostile_files_end_as_they_should_and_none_is_seen_before_its_verdict(
    database_url: str, redis_url: str
) -> None:
    assert len(HOSTILE) >= 40
    async with pipeline(database_url, redis_url, wall_seconds=10.0) as works:
        ada, eve = await works.services.person(), await works.services.person()
        ids: list[str] = []
        seen_early: list[str] = []
        probing = asyncio.create_task(probe(ada, ids, seen_early))
        for name, content, _ in HOSTILE:
            ids.append(await send(ada, name, content))
        wrong = {}
        for (name, _, expected), file_id in zip(HOSTILE, ids, strict=True):
            status = await ended(ada, file_id, 60)
            state = status["error"]["code"] if status["error"] else status["status"]
            if state != expected:
                wrong[name[:40]] = (state, expected)
            assert len(await ends(works, file_id)) == 1
            await eve.ask("GET", f"/files/{file_id}/content", 404)
        assert wrong == {}
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        assert seen_early == []
        for (name, content, expected), file_id in zip(HOSTILE, ids, strict=True):
            await check_download(ada, name, content, expected, file_id)
        await check_everything_is_alive(works)


async def send(who: Person, name: str, content: bytes) -> str:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="'
    quoted = name.encode().replace(b"\r\n", b"%0D%0A")  # as browsers write it; the raw form ends the header
    body = head + quoted + b'"\r\n\r\n' + content + b"\r\n--b--\r\n"
    answer = await who.http.post(
        "/files/upload", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 202, f"{name[:40]}: {answer.text}"
    return str(answer.json()["id"])


async def probe(who: Person, ids: list[str], seen_early: list[str]) -> None:
    """Try to download everything, all along until it is completed: what is given out before that is told."""
    completed: set[str] = set()
    while True:
        for file_id in [file_id for file_id in ids if file_id not in completed]:
            answer = await who.http.get(f"/files/{file_id}/content")
            if answer.status_code == 200:
                status = await who.ask("GET", f"/files/{file_id}/status", 200)
                if status["status"] != "completed" or status["scan"] is None:
                    seen_early.append(file_id)
                completed.add(file_id)
            elif answer.status_code not in (404, 409):
                seen_early.append(f"{file_id}: {answer.status_code}")
        await asyncio.sleep(0.01)


async def check_download(who: Person, name: str, content: bytes, expected: str, file_id: str) -> None:
    answer = await who.http.get(f"/files/{file_id}/content")
    if expected != "completed":
        assert answer.status_code == 409
        return
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers
    kind = answer.headers["content-type"]
    disposition = answer.headers["content-disposition"]
    if kind.startswith("image/"):
        for hidden in (b"Secret", b"<script", b"<?php", b"Exif", b"PK\x03\x04"):
            assert hidden not in answer.content, name
        Image.open(io.BytesIO(answer.content)).load()
    else:
        assert disposition.startswith("attachment; ") and answer.content == content
        assert kind.partition(";")[0] in ("application/octet-stream", "application/pdf", "text/plain"), name
    assert len(disposition) < 3_000 and "/etc/" not in disposition and "\u202e" not in disposition


async def check_everything_is_alive(works: Works) -> None:
    async with works.services.client() as http:
        assert (await http.get(f"{works.services.base}/readyz")).json()["status"] == "ready"
    ada = await works.services.person()
    last: dict[str, Any] = await ended(ada, (await ada.upload(JPEG))["id"])
    assert last["status"] == "completed"
    assert await works.tasks.listed() == []
    assert await names(works.services.services.blobs)
