"""The documents that the server makes of itself: OpenAPI, AsyncAPI, and their examples."""
