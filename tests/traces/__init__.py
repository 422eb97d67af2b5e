"""The demo in a real tracing backend."""
