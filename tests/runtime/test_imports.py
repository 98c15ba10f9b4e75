"""What a gateway loads before it serves: nothing that only others use, or only some settings."""

import json
import subprocess
import sys
from types import ModuleType

import pytest

from runtime.start import load_late

# `hansard gateway` up to where it would serve, which then says what is loaded.
SCRIPT = """
import json, sys
from runtime import cli

from runtime.command import Command

cli.command("gateway")  # as the command line loads it
from gateway import app
from runtime.processes import gateway

async def say(settings, asked):
    gateway.create_app = lambda services: app.surface()
    gateway.app_of(None)
    print(json.dumps(sorted(name for name, module in sys.modules.items() if module)))
    return 0

gateway.COMMAND = Command(say)
sys.exit(cli.run(["gateway"]))
"""
NEEDLESS = {
    "PIL", "aioboto3", "aiobotocore", "aiohttp", "aiosmtplib", "attr", "attrs", "boto3", "botocore", "eventsourcing",
    "hypothesis", "pydantic", "pypdfium2", "pytest", "rich",
}  # fmt: skip
# 1,205 in November 2026; each takes a third of a millisecond, or one where its bytecode is not kept.
MODULES_MAX = 1_300


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_a_gateway_loads_nothing_that_it_does_not_use(loaded: set[str]) -> None:
    packages = {name.partition(".")[0] for name in loaded}
    assert {"litestar", "asyncpg", "redis", "structlog"} <= packages
    assert packages & NEEDLESS == set()
    assert "yaml.loader" not in loaded, "it is loaded when a document is drawn in YAML, which is never"
    assert len(loaded) < MODULES_MAX


def test_what_is_loaded_late_is_loaded_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "colorsys", ModuleType("kept"))
    monkeypatch.delitem(sys.modules, "colorsys")
    load_late("colorsys")
    import colorsys

    assert "rgb_to_hsv" not in vars(sys.modules["colorsys"])
    assert colorsys.rgb_to_hsv(1, 1, 1) == (0.0, 0.0, 1)
    assert "rgb_to_hsv" in vars(sys.modules["colorsys"])


def test_who_starts_the_others_loads_no_server_of_its_own() -> None:
    """It is there as long as they are, and only looks after them."""
    script = """
import json, sys
from runtime import cli
cli.command("up")
print(json.dumps(sorted({name.partition(".")[0] for name, module in sys.modules.items() if module})))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    packages = set(json.loads(done.stdout))
    assert {"asyncio", "msgspec"} <= packages
    assert packages & {"litestar", "uvicorn", "redis", "nh3", "click", "asyncpg", "cryptography"} == set()
