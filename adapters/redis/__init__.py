"""Redis: lanes, rate limits, the task queue, and who is connected where."""
