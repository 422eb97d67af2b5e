"""The compose file: adding an agent to it, and proving of it what can be proved without an engine."""
