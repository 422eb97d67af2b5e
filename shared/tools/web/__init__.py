"""Web access of tools, limited to public and explicitly allowed addresses."""
