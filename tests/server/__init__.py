"""The server of the panel, and the reverse proxies in front of it."""
