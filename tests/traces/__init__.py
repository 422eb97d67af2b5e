"""What a real tracing backend has of the demo."""
