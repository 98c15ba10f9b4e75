"""The lines of an explanation, and its verdict."""

from domain.rights import Verdict
from gateway.spec.rights_page import refusal_of


class Answer:
    """The lines of an explanation, and its verdict."""

    def __init__(self) -> None:
        self.verdict: Verdict = None

    def say(self, label: str, text: str) -> None:
        print(f"{label:<9} {text}")

    def row(self, table: str, row: str, column: str, verdict: Verdict) -> None:
        """Print what one cell says. The first refusal stays the verdict."""
        said = "yes" if verdict is None else refusal_of(verdict)[0]
        self.say("row", f"{table}: {row}, column {column}: {said}")
        self.verdict = self.verdict or verdict
