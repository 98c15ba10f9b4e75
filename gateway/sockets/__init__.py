"""The life of one socket, from its handshake to its close."""
