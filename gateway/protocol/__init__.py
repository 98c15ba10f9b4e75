"""What travels over a socket: the frames of clients and of the server, as types. No I/O."""
