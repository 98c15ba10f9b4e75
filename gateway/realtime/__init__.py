"""The life of all sockets together: fan-out, replay, feeds, presence, and what is heard from Redis or the record."""
