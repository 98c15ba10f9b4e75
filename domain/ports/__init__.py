"""Ports: what commands, projections, gateway and workers need of the world, as protocols; a file for each need.

`adapters/` has the real ones, and fakes in memory. The same contract suites test both.
"""
