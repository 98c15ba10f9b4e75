"""The run says which scanner its tests were scanned by."""

from typing import Any

from tests.files.clamd import CLAMD, KIND


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(
        f"Files were scanned by a {KIND}{f' ({CLAMD})' if CLAMD else ': no clamd is installed'}."
    )
