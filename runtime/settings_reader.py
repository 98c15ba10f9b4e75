"""Reading the settings from the environment, and writing `.env.example`, which a test keeps equal to `example()`."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from runtime.settings import PREFIX, SettingRefusedError, Settings
from runtime.settings_checks import check


def read(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raise `SettingRefusedError` for a name that is no setting, or a value that is not of its kind."""
    known = {PREFIX + entry.name.upper(): entry for entry in fields(Settings)}
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise SettingRefusedError(f"{name} is no setting{f'; did you mean {near[0]}?' if near else ''}")
    values: dict[str, Any] = {
        entry.name: _parsed(name, environment[name].strip(), entry)
        for name, entry in known.items()
        if environment.get(name, "").strip()
    }
    if values.get("env") == "production":
        values.setdefault("limits", "strict")
    settings = Settings(**values)
    check(settings)
    return settings


def example() -> str:
    """Return `.env.example`: every setting, its sentence and its default."""
    lines = ["# Every setting of Hansard and its default. Copy to .env, or set in the environment.", ""]
    for entry in fields(Settings):
        default = entry.default
        text = ",".join(default) if isinstance(default, tuple) else "" if default == Path("") else str(default)
        choices = get_args(entry.type) if get_origin(entry.type) is Literal else ()
        lines.append(f"# {entry.metadata['sentence']}")
        if choices:
            lines.append(f"# One of: {', '.join(choices)}.")
        lines += [f"{PREFIX}{entry.name.upper()}={text}", ""]
    return "\n".join(lines)


def _parsed(name: str, text: str, entry: Any) -> object:
    kind = entry.type
    if kind is int:
        return _integer(name, text, entry.metadata["low"], entry.metadata["high"])
    if kind is Path:
        return Path(text).expanduser()
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise SettingRefusedError(f"{name} is {text!r}; it can be {' or '.join(get_args(kind))}.")
        return text
    if get_origin(kind) is tuple:
        return tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    return text


def _integer(name: str, text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise SettingRefusedError(f"{name} is {text!r}; it is a whole number from {low} to {high}.") from None
    if not low <= value <= high:
        raise SettingRefusedError(f"{name} is {value}; it is a whole number from {low} to {high}.")
    return value
