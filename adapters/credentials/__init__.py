"""Credentials: passwords, access tokens, tickets, certificates."""
