"""The swarm and all its servers, on one machine, from pip alone."""
