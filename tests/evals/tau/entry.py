"""`python -m tests.evals.tau.entry`: the agent communication, without a share of the budget: cases have 33 calls."""

import runpy
import sys

from services.communication.agent import agent

if __name__ == "__main__":
    agent.budget = None
    sys.argv = ["services.communication"]
    runpy.run_module("services.communication", run_name="__main__", alter_sys=True)
