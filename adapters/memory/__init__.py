"""Adapters in memory, for tests and simulations. The contract suites of the real ones hold them, too."""
