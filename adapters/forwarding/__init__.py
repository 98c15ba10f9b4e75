"""Forwarding the audit trail to others: what an entry looks like there (syslog, CEF, OCSF, JSON), and how it gets there."""
