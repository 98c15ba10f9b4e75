"""The routes, a file a feature."""
