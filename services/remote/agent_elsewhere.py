"""Specialist for one agent elsewhere: a step of ours is a task of that agent, and its question is one to our people."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.remote.brief import message_of
from services.remote.settings import RemoteSettings
from services.remote.tools import RemoteTools
from shared.errors import Unwanted
from waggle import Agent, Context, Findings, RetryableError, Source, Step, TerminalError

LONGEST_QUESTION, LONGEST_WORDS = 1_500, 500
"""Characters of the remote agent's words in a question to people, and in the message of a failure."""

SKIPPED = "The question was skipped. Continue without an answer if you can."


def agent_of(tools: RemoteTools) -> Agent:
    """Return the agent that stands for one elsewhere."""
    agent = Agent(
        tools.name,
        description=tools.remote.description,
        instructions=Path(__file__).with_name("instructions.md"),
        tools=tools.all,
        settings=RemoteSettings,
        hands_over=False,
        board=False,
    )

    @agent.handles
    async def work(step: Step, ctx: Context) -> Findings:
        return await Exchange(tools, step, ctx).until_done()

    return agent


@dataclass(slots=True)
class Exchange:
    """The exchange with the agent about one step.

    A repetition of the step makes the same calls, and gets their recorded results. Another try of the step continues
    where the last one failed: with the same task while it lasts, else with a new one.
    """

    tools: RemoteTools
    step: Step
    ctx: Context
    task: str = ""
    context: str = ""
    tasks: int = 1
    """Number of the task, the first or one in place of a cancelled one."""
    failed: int = 0
    """Failed sendings of the same message."""
    failures: int = 0
    looks: int = 0
    questions: int = 0
    answer: str = ""
    """Answer of a person that the agent has not taken yet."""

    async def until_done(self) -> Findings:
        """Return the findings of the agent. Raises RetryableError and TerminalError.

        The agent's task is cancelled when its step fails or when the run does not await it.
        """
        try:
            while True:
                try:
                    return await self._attempt()
                except RetryableError:
                    if not await self._was_reported():
                        raise
                except TerminalError:
                    if not await self._was_reported():
                        raise
                    self._start_over()
        except (TerminalError, Unwanted):
            if self.task:
                await self.tools.connection.cancel(self.task)
            raise

    async def _was_reported(self) -> bool:
        """Return True for a failure that an earlier try has reported: people or the run want the step retried."""
        self.failures += 1
        noted = await self.ctx.call(self.tools.note.name, failure=self.failures)
        return bool(noted.get("tries", self.step.tries) < self.step.tries)

    def _start_over(self) -> None:
        """Let the next message begin a new task."""
        self.task, self.answer, self.failed, self.tasks = "", "", 0, self.tasks + 1

    async def _attempt(self) -> Findings:
        if not self.task and (done := await self._begin()) is not None:
            return done
        while True:
            if self.answer and not self.failed:
                await self._pass_on()
            self.looks += 1
            found = await self._call(self.tools.follow.name, task=self.task, round=self.looks)
            self.context = found["context"] or self.context
            match found["state"]:
                case "completed":
                    return self._findings(found)
                case "input-required" if self.answer:  # it may not have taken the answer
                    await self._pass_on()
                case "input-required":
                    self.questions += 1
                    self.answer = await self._asked("asks", found["text"]) or SKIPPED
                case "auth-required":
                    await self._asked("wants a login or a permission there. Answer when it has it", found["text"])
                case state:
                    raise self._ended(state, found["text"])

    async def _begin(self) -> Findings | None:
        """Send the step; return findings if the agent answers at once, or if the call is only planned."""
        remote = self.tools.remote
        arguments: dict[str, Any] = {"to": remote.host, "message": message_of(self.step), "attempt": self.tasks}
        if remote.files:
            arguments["files"] = [each.name for each in self.ctx.workspace.files()]
        arguments |= {kind: getattr(remote, kind) for kind in ("money", "rows") if getattr(remote, kind) is not None}
        taken = await self._sent(self.tools.ask.name, **arguments)
        if taken.get("dry_run"):
            return self._planned()
        if not taken["task"]:
            return self._findings(taken)
        self.task, self.context = taken["task"], taken["context"]
        return None

    async def _pass_on(self) -> None:
        """Send the answer of a person to the agent's question."""
        about = {"task": self.task, "context": self.context, "question": self.questions}
        await self._sent(self.tools.answer.name, message=self.answer, **about)
        self.answer = ""

    async def _sent(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Make a call that sends a message, and count its failures. Raises as `_call`."""
        again = {"again": self.failed} if self.failed else {}
        self.failed += 1
        answer = await self._call(tool, **arguments | again)
        self.failed = 0
        return answer

    async def _asked(self, wants: str, words: str) -> str | None:
        """Ask a person on behalf of the agent, with its words."""
        shown = words.strip()[:LONGEST_QUESTION] or "(no words)"
        return await self.ctx.ask(f"{self.tools.name} at {self.tools.remote.host} {wants}:\n\n{shown}")

    async def _call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Make a call. Raises RetryableError or TerminalError for an error that it returns."""
        answer: dict[str, Any] = await self.ctx.call(tool, **arguments)
        if (error := answer.get("error")) is None:
            return answer
        if error["retryable"]:
            raise RetryableError(error["message"], code=error["code"], after=5.0)
        raise TerminalError(error["message"], code=error["code"])

    def _ended(self, state: str, text: str) -> RetryableError | TerminalError:
        """Return the error for a task that ended without a result. A cancelled one is sent again by the next try."""
        words = f": {text.strip()[:LONGEST_WORDS]}" if text.strip() else ""
        message = f"the task of {self.tools.name} is {state}{words}"
        self._start_over()
        if state == "canceled":
            return RetryableError(message, code="remote_cancelled")
        return TerminalError(message, code="remote_refused" if state == "rejected" else "remote_failed")

    def _findings(self, found: dict[str, Any]) -> Findings:
        remote, name = self.tools.remote, self.tools.name
        files = "".join(f"\n- {each}" for each in found["files"])
        caveats = [f"Written by {name} at {remote.host}, an agent of another system; not checked."]
        caveats += [f"Left out of its answer: {', '.join(found['left_out'])[:1_000]}"] if found["left_out"] else []
        return Findings(
            answer=(found["text"] + (f"\n\nFiles:{files}" if files else "")).strip() or "It answered with nothing.",
            facts=[],
            sources=[Source(title=f"{name} (A2A)", uri=remote.card_address)],
            confidence=remote.confidence,
            caveats=caveats,
        )

    def _planned(self) -> Findings:
        name, host = self.tools.name, self.tools.remote.host
        return Findings(
            answer=f"Would send the step to {name} at {host}.", facts=[], sources=[], confidence=1.0, caveats=[]
        )
