"""The processes that a supervisor starts: a file each, which says what it runs, its loops and how it ends."""
