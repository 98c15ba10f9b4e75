"""What travels over a socket: frames as types, parsing, encoding, framing and close codes. No I/O, nothing of the gateway."""
