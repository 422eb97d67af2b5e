"""Generator for the folder of a new specialist: it runs as it is, and one file defines its work."""
