"""The request for one answer from the outputs of several steps, and the answer to it."""

from schemas.plan import Plan
from schemas.step import Answer, Handoff, Synthesis


class WriteAnswer(Handoff):
    """Ask the writer for one answer from the outputs of all steps."""

    plan: Plan


class AnswerWritten(Answer):
    """The writer's answer to `WriteAnswer`."""

    synthesis: Synthesis
