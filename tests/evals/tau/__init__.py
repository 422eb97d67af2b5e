"""Gold trajectories of tau2-bench through the swarm, its gate and journal, while the agent is killed."""
