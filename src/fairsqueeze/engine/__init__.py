"""The engine: requests in, answers out; the sole caller of forward."""
