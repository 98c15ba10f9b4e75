"""Progress of long commands, on standard error: a bar that grows on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from typing import TextIO

from workers.rebuild_reports import Progress

LINES = 10
LINE_SECONDS = 10.0
CLEAR_LINE = "\x1b[K"
BAR_CHARS = 20


class ProgressShown:
    """Shows one command's progress. Elsewhere than on a terminal: at most a line for each tenth, or after ten seconds."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._line_at = clock()
        self._line_share = 0.0
        self._ended = -1

    def __call__(self, progress: Progress) -> None:
        """Show how far it is."""
        if self._is_terminal and progress.done != self._ended:
            end = "" if progress.done < progress.total else "\n"
            self._ended = progress.done if end else -1
            print(f"\r{bar(progress.share)} {progress.sentence()}{CLEAR_LINE}", end=end, file=self._stream, flush=True)
        elif not self._is_terminal and self._is_due(progress.share):
            self._line_at, self._line_share = self._clock(), progress.share
            print(progress.sentence(), file=self._stream, flush=True)

    def _is_due(self, share: float) -> bool:
        """Return whether another tenth is reached since the last line, or that is long ago and more is done."""
        if share == self._line_share:
            return False
        is_another = int(share * LINES) != int(self._line_share * LINES)
        return is_another or self._clock() - self._line_at >= LINE_SECONDS


def bar(share: float) -> str:
    """Return a bar of which this share is done: `[######--------------]`."""
    done = min(BAR_CHARS, int(share * BAR_CHARS))
    return f"[{'#' * done}{'-' * (BAR_CHARS - done)}]"


class CountShown:
    """Shows how many of something are done. On a terminal one line, once a second; elsewhere a line every ten seconds."""

    def __init__(
        self, stream: TextIO, what: str, unit: str = "", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._what = what
        self._unit = f" {unit}" if unit else ""
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._said_at = clock()

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is; `total` 0: nobody knows how many there are."""
        now = self._clock()
        if now - self._said_at >= (1.0 if self._is_terminal else LINE_SECONDS):
            self._said_at = now
            of = f" of {total:,}" if total else ""
            begin, end = ("\r", CLEAR_LINE) if self._is_terminal else ("", "\n")
            print(f"{begin}{self._what}: {done:,}{of}{self._unit}{end}", end="", file=self._stream, flush=True)
