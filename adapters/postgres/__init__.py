"""Postgres: the event store, its codec and data keys, and what else is kept beside the record."""
