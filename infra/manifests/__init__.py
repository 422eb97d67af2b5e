"""Checks that `k8s/` is valid, safe and consistent with this code, and the generated parts of it."""
