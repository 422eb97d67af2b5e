"""What other languages read instead of our code: JSON Schemas, the AsyncAPI document, and what may change in them."""
