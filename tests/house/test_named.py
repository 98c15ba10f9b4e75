"""What documents name is there: settings, files and folders, routes, codes of problems, targets of make, options of commands.

History may name what is gone: the changelog and the decisions are not looked at.
"""

import argparse
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from importlib import import_module

import pytest

from gateway.app import surface
from handbook.staging import pages_of
from runtime.cli import COMMANDS
from runtime.settings import PREFIX, Settings
from tests.house.test_style import ROOT

PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text()
    for page in [*pages_of(ROOT), ROOT / "handbook" / "index.md"]
    if page.name != "CHANGELOG.md" and not re.match(r"\d{4}-", page.name)
}
API = "/api/v1"
# Said of the tests of the JavaScript library; not here, and said so; of a witness, which is no gateway.
OTHER_SETTINGS = {"HANSARD_URL", "HANSARD_SECOND_URL"}
OTHER_ROUTES = {"GET /users/me/export", "POST /add-checkpoint"}
FOLDER = r"adapters|bench|clients|commands|deploy|docs|domain|gateway|handbook|migrations|projections|runtime|tests|web|workers"
PATH = re.compile(rf"`((?:{FOLDER})/[\w./-]*?\.(?:py|md|sql|js|css|svg|json|jsonl|yaml|txt)|(?:{FOLDER})(?:/\w+)*/)`")
ROUTE = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) `?(/[a-z][\w/{}.$-]*)")
CODE = re.compile(r"\b[45]\d\d \(?`([a-z_]+\.[a-z_]+)`")
TARGET = re.compile(r"`make ([a-z-]+)|^make ([a-z-]+)", re.MULTILINE)
TYPED = re.compile(r"(?:^|[`/ ])hansard ([a-z]+)([^`\n#|]*)", re.MULTILINE)
OPTION = re.compile(r"(?<!\S)--[a-z-]+")


def unknown_settings(page: str) -> Iterator[str]:
    there = {PREFIX + field.name.upper() for field in fields(Settings)} | OTHER_SETTINGS
    yield from (name for name in re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", page) if name not in there)


def unknown_paths(page: str) -> Iterator[str]:
    yield from (path for path in PATH.findall(page) if not (ROOT / path).exists())


def unknown_routes(page: str) -> Iterator[str]:
    """Tell routes that the gateway has not; what stands for a value is written as people do: `{id}` or `$ROOM`."""
    there = {(method, _shape(path)) for method, path in surface().routes}
    for method, path in ROUTE.findall(page):
        shape = _shape(path.rstrip("."))
        if not there & {(method, shape), (method, API + shape)} and f"{method} {path}" not in OTHER_ROUTES:
            yield f"{method} {path}"


def unknown_codes(page: str) -> Iterator[str]:
    yield from (code for code in CODE.findall(page) if f'"{code}"' not in _sources())


def unknown_targets(page: str) -> Iterator[str]:
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    yield from (name for pair in TARGET.findall(page) for name in pair if name and name not in there)


def unknown_options(page: str) -> Iterator[str]:
    for name, rest in TYPED.findall(page.replace("\\\n", " ")):
        if name in COMMANDS:
            yield from (f"{name} {option}" for option in OPTION.findall(rest) if option not in _options(name))


def _shape(path: str) -> str:
    """Return a path with one word for whatever stands for a value: `GET …/variants/preview` is one of a file's variants."""
    return re.sub(r"\{[^}]*\}|\$\w+", "{}", path).replace("/variants/preview", "/variants/{}")


@cache
def _sources() -> str:
    names = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True)
    return "\n".join((ROOT / name).read_text() for name in names.stdout.split() if not name.startswith("tests/"))


@cache
def _options(name: str) -> frozenset[str]:
    """Return the options of a command, those of its actions among them."""
    module, _, constant = COMMANDS[name].where.partition(":")
    parser = argparse.ArgumentParser()
    getattr(import_module(module), constant).describe(parser)
    return frozenset(_of(parser))


def _of(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for under in action.choices.values():
                yield from _of(under)


@pytest.mark.parametrize(
    ("unknown", "planted", "says"),
    [
        (unknown_settings, "`HANSARD_PORT`, `HANSARD_LIMIT_…`, `HANSARD_POTR`", "HANSARD_POTR"),
        (unknown_paths, "`domain/room.py`, `docs/`, `domain/message.post`, `gateway/gone.py`", "gateway/gone.py"),
        (unknown_routes, "GET `/rooms/{id}`, POST /rooms/$ROOM/join, `GET /rooms/{id}/gone`", "GET /rooms/{id}/gone"),
        (unknown_codes, "403 `room.banned`, 409 `room.gone`", "room.gone"),
        (unknown_targets, "`make check`, `make gone`\nmake test TESTS=tests", "gone"),
        (unknown_options, "`hansard rebuild live --jobs 2`, `hansard rebuild live --gone`", "rebuild --gone"),
    ],
)
def test_what_documents_name_is_there(unknown: Callable[[str], Iterator[str]], planted: str, says: str) -> None:
    assert list(unknown(planted)) == [says]
    assert {name: found for name, page in PAGES.items() if (found := sorted(set(unknown(page))))} == {}
