"""The channels by which people are told of things outside the chat (`domain/ports/channels.py`)."""
