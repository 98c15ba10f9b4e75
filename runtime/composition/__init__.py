"""The composition root: settings in, objects out. Nothing here runs; `runtime/processes` and `runtime/operators` do."""
