"""Makes the folder of a new specialist from a template: it runs as it is, and one file says what it does."""
