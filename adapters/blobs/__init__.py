"""Blob stores: a folder, and S3 or what speaks its language."""
