"""The HTTP server: connections, HTTP/1.1 and WebSocket frames within bounds, and writing to a socket."""
