"""Adapters in memory, for tests and simulations, held to the contract suites of the real ones."""
