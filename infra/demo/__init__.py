"""The demo's sample: orders with one hidden incident, and the runbooks that explain it."""
