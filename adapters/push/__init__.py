"""Web Push: encryption (RFC 8291), who sends (VAPID, RFC 8292) and the sending (RFC 8030)."""
