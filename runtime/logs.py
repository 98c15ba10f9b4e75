"""Logs: one event, one line, on standard error, as text (logfmt) or JSON.

A line is made harmless as the last thing before it is written: whatever was logged, by us or by a library, holds no
character that breaks a line, colours a terminal or turns writing around. Where a log goes from there, and how long it
is kept, is the operator's: docs/operating.md, Logs.
"""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from runtime.settings import Settings

# Control characters (C0, DEL, C1), surrogates, line and paragraph separators, and what turns writing around or hides it.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")


# What every line says beside its event: request and trace, level, time in UTC, and what was raised.
ADDED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure_logs(settings: Settings) -> None:
    """Have our lines, and those of libraries (`logging`), written in one form."""
    line = OneLine(as_json=settings.log == "json")
    structlog.configure(
        processors=[*ADDED, line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[strip, line], foreign_pre_chain=ADDED))
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)


class OneLine:
    """The renderer: an event as one line that is safe to look at."""

    def __init__(self, *, as_json: bool) -> None:
        self._render: Any = (
            structlog.processors.JSONRenderer()
            if as_json
            else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
        )

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        return harmless(str(self._render(logger, method, event)))


def harmless(line: str) -> str:
    """Return a line with every unsafe character as the JSON escape that it would be (ESC is `\\u001b`)."""
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
