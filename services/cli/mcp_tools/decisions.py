"""MCP tools that pass on the decisions of a person: for clients that were started with `--allow decide`."""

from typing import Annotated, Any

from pydantic import Field

from schemas.api.commands import CommandAccepted
from schemas.question import Reply
from services.cli.mcp_tools.calls import AUTHOR, GatewayTools, RunId

QuestionId = Annotated[str, Field(description="`asked.request_id` of the question.", min_length=1, max_length=255)]
Digest = Annotated[
    str | None,
    Field(description="`digest` of the proposal that the person saw; required for a question with a proposal."),
]


class DecisionTools(GatewayTools):
    """Tools with which a client answers for its person."""

    async def answer_question(
        self,
        run_id: RunId,
        question_id: QuestionId,
        answer: Annotated[Reply, Field(description="One of the question's `offers`.")],
        message: Annotated[str, Field(description="With `respond` the answer, with `reject` the reason.")] = "",
        arguments: Annotated[dict[str, Any] | None, Field(description="Of `edit`: the arguments instead.")] = None,
        digest: Digest = None,
    ) -> CommandAccepted:
        """Pass on the decision of your person about a question that you have shown to them in full."""
        body: dict[str, Any] = {"request_id": question_id, "decision": answer, "answer": message}
        body |= {"arguments": arguments} if arguments is not None else {}
        body |= {"digest": digest} if digest else {}
        return await self.call(lambda gateway: gateway.command(run_id, "decisions", by=AUTHOR, **body))

    async def withdraw_answer(self, run_id: RunId, question_id: QuestionId) -> CommandAccepted:
        """Take back your person's answer, as long as it has had no effect."""
        body = {"request_id": question_id}
        return await self.call(lambda gateway: gateway.command(run_id, "decisions/withdraw", by=AUTHOR, **body))

    async def delegate_question(
        self,
        run_id: RunId,
        question_id: QuestionId,
        to: Annotated[str, Field(description="Name in the keys file.", min_length=1, max_length=200)],
    ) -> CommandAccepted:
        """Let another person answer a question in place of yours."""
        body = {"request_id": question_id, "to": to}
        return await self.call(lambda gateway: gateway.command(run_id, "decisions/delegate", by=AUTHOR, **body))

    async def apply_dry_run(
        self,
        run_id: RunId,
        digest: Annotated[str, Field(description="`effects_digest` of the result that your person reviewed.")],
    ) -> CommandAccepted:
        """Make the calls that a dry run has listed, unchanged, in that order, once."""
        return await self.call(lambda gateway: gateway.command(run_id, "carry-out", by=AUTHOR, digest=digest))
