"""Webhooks: requests to a server of somebody's own, signed so that it knows from whom they are."""
