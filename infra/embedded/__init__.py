"""The swarm and everything it needs, on one machine, from pip alone."""
