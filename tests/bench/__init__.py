"""The bench: that it finds what is wrong, and tells what it measured."""
