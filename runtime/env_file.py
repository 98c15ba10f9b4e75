"""The file `.env`: settings beside the environment, read by python-dotenv as other programs read theirs.

Quotes, `export` and comments behind values are understood. `$` is not: a password may hold one.
"""

from pathlib import Path

from runtime.settings import PREFIX, SettingRefusedError


def env_file(file: Path) -> dict[str, str]:
    """Return the HANSARD_ variables of a file; none if there is no file. Raise `SettingRefusedError` for a name without a
    value."""
    if not file.is_file():
        return {}
    from dotenv import dotenv_values  # most deployments have no such file

    found = dotenv_values(file, interpolate=False, encoding="utf-8-sig")
    ours = {name: value for name, value in found.items() if name.startswith(PREFIX)}
    for name, value in ours.items():
        if value is None:
            raise SettingRefusedError(f"{name} stands in {file} without a value: write {name}=…")
    return {name: value for name, value in ours.items() if value is not None}
