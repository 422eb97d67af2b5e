"""The demo's sample: orders with one planted incident, and the runbooks that explain it."""
