"""Published contract for other languages: JSON Schemas, the AsyncAPI document, and the compatibility rules.

Written and checked by `python -m schemas.publish [--check | --release]`.
"""
