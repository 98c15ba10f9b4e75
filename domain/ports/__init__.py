"""What commands, projections, gateway and workers ask of the world, split by who asks.

`adapters/` holds the real ones and, in memory, the fakes that the same contract suites hold to them.
"""
