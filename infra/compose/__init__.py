"""Checks of the compose file that need no container engine, and adding an agent to it."""
