"""Proves that what is in `k8s/` is valid, safe and about this code; writes the parts of it that follow from code."""
