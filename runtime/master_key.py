"""Making the master key of a record that is new."""

from pathlib import Path

from adapters.postgres.master_key import load_master
from domain.errors import SetupError


class MasterKeyLostError(SetupError):
    """The record is not empty, and its master key is not there; the sentence says what can be done."""


def make_master(path: Path) -> None:
    """Make the master key where there is none; one that is there stays."""
    load_master(path, create=True)
