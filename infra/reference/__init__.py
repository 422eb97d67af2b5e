"""The generated parts of the documentation: `python -m infra.reference [--check]`."""
