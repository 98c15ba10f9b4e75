"""The sandbox: whatever a file does to its decoder, it happens in a child, and the pool goes on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from adapters.media.child_process import ChildDiedError
from adapters.media.sandbox import Sandbox, SandboxMissingError
from tests.deployments import until
from tests.files import pictures
from tests.files.test_pictures_of_others import P3, cmyk_profile, form

ALL = ("thumbnail", "resize", "compress")
linux = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(pictures.png())
    return tmp_path / "a.png"


@pytest.fixture
def hostile() -> Iterator[Sandbox]:
    with Sandbox(module="tests.files.hostile_child", size=1, strict=False, wall_seconds=4.0) as made:
        yield made


@linux
async def test_a_child_can_do_nothing_but_decode(hostile: Sandbox, file: Path) -> None:
    """Fifty deeds of a child that was taken over; twice, as a signal would be sent when the second job arrives."""
    with subprocess.Popen(["sleep", "60"]) as victim:  # noqa: ASYNC220
        for _ in range(2):
            deeds = (str(file), str(victim.pid))
            result = await hostile.run("attempt", file, mime_type="image/png", operations=deeds)
            assert result.made[0].name == "nothing"
        assert victim.poll() is None
        victim.kill()


@pytest.mark.parametrize("job", ["spin", "crash"])
async def test_a_child_that_spins_or_crashes_is_replaced(hostile: Sandbox, file: Path, job: str) -> None:
    for _ in range(2):
        with pytest.raises(ChildDiedError):
            await hostile.run(job, file, mime_type="image/png", operations=())
    assert (await hostile.run("image", file, mime_type="image/png", operations=ALL)).reason is None
    assert hostile.pids() == []


async def test_a_child_that_wants_too_much_memory_gets_none(file: Path) -> None:
    # A busy machine takes seconds to hand out what a child may have at most: only the limit may end this one.
    with Sandbox(module="tests.files.hostile_child", size=1, strict=False) as patient:
        result = await patient.run("swell", file, mime_type="image/png", operations=())
        assert result.reason == "too_slow"
        assert (await patient.run("image", file, mime_type="image/png", operations=ALL)).reason is None


async def test_a_child_that_is_killed_fails_its_job_and_no_other(file: Path) -> None:
    with Sandbox(module="tests.files.hostile_child", size=2, strict=False) as sandbox:
        spinning = asyncio.create_task(sandbox.run("spin", file, mime_type="image/png", operations=()))

        async def at_work() -> bool:
            pids = sandbox.pids()
            return bool(pids) and psutil.Process(pids[0]).cpu_times().user > 0.5

        await until(at_work)
        victim = sandbox.pids()[0]
        working = asyncio.create_task(sandbox.run("image", file, mime_type="image/png", operations=ALL))
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(ChildDiedError):
            await spinning
        assert (await working).reason is None


async def test_a_job_that_is_given_up_leaves_no_child_at_it(hostile: Sandbox, file: Path) -> None:
    spinning = asyncio.create_task(hostile.run("spin", file, mime_type="image/png", operations=()))

    async def started() -> bool:
        return bool(hostile.pids())

    await until(started)
    [victim] = hostile.pids()
    spinning.cancel()
    await asyncio.gather(spinning, return_exceptions=True)
    assert hostile.pids() == []
    await until(lambda: gone(victim))


async def test_no_child_is_left_behind(file: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with Sandbox(module="tests.files.hostile_child", size=2, strict=False) as sandbox:
        await asyncio.gather(*(sandbox.run("image", file, mime_type="image/png", operations=ALL) for _ in range(4)))
        spinning = [asyncio.create_task(sandbox.run("spin", file, mime_type="", operations=())) for _ in range(2)]

        async def at_work() -> bool:
            return len(sandbox.pids()) == 2

        await until(at_work)
        made = set(psutil.Process().children(recursive=True)) - before
        assert len(made) == 4, "two children, the next one, and the nursery that they come from"
    await asyncio.gather(*spinning, return_exceptions=True)
    for process in made:
        await until(lambda pid=process.pid: gone(pid))  # type: ignore[misc]


async def test_where_it_must_be_safe_it_is_seccomp_or_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.media.child_process.Child.start", lambda self: ("limits", "landlock"))
    with Sandbox(module="workers.files.child", size=1, strict=True) as sandbox:
        with pytest.raises(SandboxMissingError):
            await sandbox.run("image", file, mime_type="image/png", operations=ALL)
        assert sandbox.pids() == []


PHOTOGRAPH = pictures.gradient(900, 700)
# Made when they are asked for: two of 48 megapixels take longer than all other modules take to import.
SOUND: dict[str, tuple[Callable[[], bytes], str]] = {
    "photograph.avif": (lambda: pictures.saved(PHOTOGRAPH, "AVIF"), "image/avif"),
    "scan.tiff": (lambda: pictures.saved(PHOTOGRAPH, "TIFF", compression="jpeg"), "image/tiff"),
    "fax.tiff": (lambda: pictures.saved(PHOTOGRAPH.convert("1"), "TIFF", compression="group4"), "image/tiff"),
    "film.jp2": (lambda: pictures.saved(PHOTOGRAPH, "JPEG2000"), "image/jp2"),
    "stereo.jpg": (lambda: pictures.saved(PHOTOGRAPH, "MPO", save_all=True, append_images=[PHOTOGRAPH]), "image/jpeg"),
    "p3.jpg": (lambda: pictures.saved(PHOTOGRAPH, "JPEG", icc_profile=P3), "image/jpeg"),
    "inks.jpg": (lambda: pictures.saved(PHOTOGRAPH.convert("CMYK"), "JPEG", icc_profile=cmyk_profile()), "image/jpeg"),
    "48 megapixels.jpg": (lambda: pictures.with_place(8064, 6048), "image/jpeg"),
    "48 megapixels in p3.png": (lambda: pictures.saved(PHOTOGRAPH.resize((8064, 6048)), "PNG", compress_level=1, icc_profile=P3), "image/png"),
    "48 megapixels, clear.png": (
        lambda: pictures.saved(Image.new("RGBA", (8064, 6048), (9, 9, 9, 0)), "PNG", compress_level=1, icc_profile=P3), "image/png"
    ),
    "moving.png": (lambda: pictures.animation(form="PNG"), "image/png"),
    "moving.webp": (lambda: pictures.animation(form="WEBP"), "image/webp"),
    "form.pdf": (form, "application/pdf"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
async def test_every_decoder_finds_what_it_needs_when_it_is_locked_up(name: str, tmp_path: Path) -> None:
    make, mime_type = SOUND[name]
    (tmp_path / "file").write_bytes(make())
    job, operations = ("document", ("count_pages", "preview")) if name.endswith("pdf") else ("image", ALL)
    with Sandbox(module="workers.files.child", size=1, strict=False) as sandbox:
        result = await sandbox.run(job, tmp_path / "file", mime_type=mime_type, operations=operations)
    assert result.reason is None and len(result.made) == (2 if job == "document" else 3)


async def test_no_child_sees_two_files(file: Path) -> None:
    with Sandbox(module="tests.files.hostile_child", size=1, strict=False) as sandbox:
        answers = [await sandbox.run("who", file, mime_type="", operations=(name,)) for name in ("ada", "eve", "ada")]
        assert [answer.made[0].name for answer in answers] == ["ada", "eve", "ada"], "none remembers another's"
        assert len({answer.made[0].width for answer in answers}) == 3


async def test_after_a_death_the_next_child_is_laid_out_anew(file: Path) -> None:
    """Whoever guesses where something lies in memory has one guess."""
    with Sandbox(module="tests.files.hostile_child", size=1, strict=False) as sandbox:

        async def layout() -> str:
            return (await sandbox.run("layout", file, mime_type="", operations=())).made[0].name

        assert await layout() == await layout()
        before = await layout()
        with pytest.raises(ChildDiedError):
            await sandbox.run("crash", file, mime_type="", operations=())
        assert await layout() != before


async def test_a_nursery_is_renewed_after_some_children(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.media.child_process.NURSERY_CHILDREN_MAX", 3)
    with Sandbox(module="tests.files.hostile_child", size=1, strict=False) as sandbox:
        layouts = [await sandbox.run("layout", file, mime_type="", operations=()) for _ in range(4)]
        assert len({each.made[0].name for each in layouts}) == 2


async def test_a_nursery_that_was_killed_is_replaced(file: Path) -> None:
    with Sandbox(module="workers.files.child", size=1, strict=False) as sandbox:
        await sandbox.held_by()
        [nursery] = [each for each in psutil.Process().children() if "workers.files.child" in each.cmdline()]
        nursery.kill()
        await until(lambda: gone(nursery.pid, or_zombie=True))
        assert (await sandbox.run("image", file, mime_type="image/png", operations=ALL)).reason is None


@linux
async def test_a_child_that_spins_before_it_is_asked_ends_by_itself(file: Path) -> None:
    """The end of its time cannot be ignored, blocked or put off, and holds without its parent's clock."""
    with Sandbox(module="tests.files.hostile_child", size=1, strict=False, wall_seconds=60.0) as sandbox:
        with pytest.raises(ChildDiedError):
            await sandbox.run("outlive", file, mime_type="", operations=())


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
async def test_where_root_starts_it_a_child_is_a_user_of_its_own(file: Path) -> None:
    with Sandbox(module="tests.files.hostile_child", size=2, strict=False) as sandbox:
        spinning = [asyncio.create_task(sandbox.run("spin", file, mime_type="", operations=())) for _ in range(2)]

        async def at_work() -> bool:
            return len(sandbox.pids()) == 2

        await until(at_work)
        users = [psutil.Process(pid).uids() for pid in sandbox.pids()]
        assert (
            all(user.real == user.effective == user.saved != 0 for user in users) and len({u.real for u in users}) == 2
        )
        for pid in sandbox.pids():
            status = Path(f"/proc/{pid}/status").read_text()  # noqa: ASYNC240
            assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status and "Groups:\t \n" in status
            assert "Seccomp:\t2" in status
        for task in spinning:
            task.cancel()
        await asyncio.gather(*spinning, return_exceptions=True)


async def gone(pid: int, *, or_zombie: bool = False) -> bool:
    if not psutil.pid_exists(pid):
        return True
    return or_zombie and psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


ALONE = """
import os, socket, sys
from workers.files.lockdown import lock_up
layers = lock_up(None, os.getppid())
worked = []
for name, deed in {
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY), "list": lambda: os.listdir("/"),
    "write": lambda: os.open("/tmp/hansard-escape", os.O_CREAT | os.O_WRONLY), "remove": lambda: os.unlink(sys.argv[1]),
    "kill": lambda: os.kill(int(sys.argv[2]), 0), "fork": os.fork,
    "connect": lambda: socket.socket().connect(("127.0.0.1", 9)),
}.items():
    try:
        deed()
    except PermissionError:
        continue
    except OSError as error:
        if error.errno == 11:
            continue
    worked.append(name)
print(",".join(layers), ",".join(worked))
"""


@linux
def test_without_seccomp_the_other_layers_leave_no_file_and_no_process(file: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as victim:
        arguments = [sys.executable, "-c", ALONE, str(file), str(victim.pid)]
        done = subprocess.run(arguments, env={"PYTHONPATH": "."}, capture_output=True, text=True)
        victim.kill()
    assert done.returncode == 0, done.stderr
    layers, _, worked = done.stdout.strip().partition(" ")
    if "landlock" not in layers:
        pytest.skip("this kernel has no Landlock")
    assert worked == ""
