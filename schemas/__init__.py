"""What travels between services: one module per subject, pydantic models only.

`schemas/published/` holds the JSON Schema files and the AsyncAPI document made from them.
"""
