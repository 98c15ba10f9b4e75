"""HTTP and sockets: the only room that knows Litestar. The table of routes is in `gateway/app.py`."""
