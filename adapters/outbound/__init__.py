"""Requests to servers that people name: push services and webhooks. Nothing inside the house is reached by them."""
