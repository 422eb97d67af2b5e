"""The generated parts of the documentation: `python -m reference [--check]`."""
