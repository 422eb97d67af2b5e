"""Messages between services: one module per subject, pydantic models only.

`schemas/published/` holds the JSON Schema files and the AsyncAPI document generated from them.
"""
