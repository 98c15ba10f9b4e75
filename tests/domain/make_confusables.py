"""Makes `domain/confusables.txt.gz` of an ICU library: `python -m tests.domain.make_confusables FOLDER`.

FOLDER holds libicuuc and libicui18n, such as the wheel `icu4py` brings. A line is a character and its prototype
(UTS 39, 4), both in hexadecimal; characters that are their own, but for their canonical decomposition, are left out.
"""

import ctypes
import gzip
import re
import sys
import unicodedata
from pathlib import Path

TARGET = Path(__file__).parents[2] / "domain" / "confusables.txt.gz"
ROOM_BYTES = 1024


class Icu:
    """The part of ICU that knows look-alikes."""

    def __init__(self, folder: Path) -> None:
        libraries = [next(folder.glob(f"libicu{name}*")) for name in ("data", "uc", "i18n")]
        self._common, self._checks = [ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL) for path in libraries][1:]
        found = re.search(r"\.so\.(\d+)", libraries[1].name)
        assert found is not None, "the library's name says its version"
        self._suffix = f"_{found[1]}"
        opened = getattr(self._checks, "uspoof_open" + self._suffix)
        opened.restype = ctypes.c_void_p
        self._skeleton = getattr(self._checks, "uspoof_getSkeletonUTF8" + self._suffix)
        self._checker = ctypes.c_void_p(opened(ctypes.byref(ctypes.c_int(0))))

    def unicode_version(self) -> str:
        version = (ctypes.c_uint8 * 4)()
        getattr(self._common, "u_getUnicodeVersion" + self._suffix)(version)
        return ".".join(map(str, version[:3]))

    def skeleton(self, text: str) -> str:
        raw, error = text.encode(), ctypes.c_int(0)
        room = ctypes.create_string_buffer(ROOM_BYTES)
        size = self._skeleton(self._checker, 0, raw, len(raw), room, ROOM_BYTES, ctypes.byref(error))
        assert error.value <= 0 <= size < ROOM_BYTES, (text, error.value)
        return room.raw[:size].decode()


def main() -> None:
    icu = Icu(Path(sys.argv[1]))
    lines = [f"# confusables of Unicode {icu.unicode_version()}; see confusables.md"]
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if 0xD800 <= code < 0xE000 or unicodedata.normalize("NFD", character) != character:
            continue
        if (prototype := icu.skeleton(character)) != character:
            lines.append(f"{code:X} {' '.join(f'{ord(c):X}' for c in prototype)}")
    TARGET.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    sys.stdout.write(f"{TARGET.name}: {len(lines) - 1} characters, {TARGET.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
