"""The operator's pages: how everything stands (``server.watch``), read-only, for people with an account."""
