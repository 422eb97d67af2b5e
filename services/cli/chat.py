"""A conversation at the command line: read a line, submit it as a task of the session, follow it, show the answer."""

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from schemas.api.runs import QuestionView
from schemas.question import Reply
from schemas.task import Task
from services.cli import watcher
from services.cli.answering import Target, give_answer
from services.cli.api.answers import NotFoundError
from services.cli.api.files import place_for
from services.cli.chat_messages import typed_lines
from services.cli.commands.runs import exit_code_of, saved_files
from services.cli.exit_codes import CommandError, Exit
from services.cli.open_questions import questions_of
from services.cli.session import Session
from services.cli.show.live import view_for
from services.cli.show.question import show_question, show_waiting
from services.cli.show.render import show_result
from services.cli.show.sessions import show_turns
from services.cli.terminal import one_line

HELP = """\
/help          this list
/history       the turns of this conversation
/new [NAME]    begin another conversation
/end           end this conversation: the next line starts with an empty one
/quit          leave; `waggle chat --session NAME` continues
Any other line is a task. It knows the turns before it. A line that begins with // is a task that begins with /.
While the swarm works, a line that you type is added to its task, and agents read it at their next turn."""

_ANSWERS = "approve [TEXT] · respond TEXT · reject REASON · skip · later"


class Leave(Exception):
    """The person leaves the conversation."""


@dataclass(slots=True)
class Chat:
    """One conversation. `model` is the task that each line becomes, apart from its objective."""

    session: Session
    model: Task
    by: str
    save: Path | None
    interactive: bool
    code: Exit = Exit.COMPLETE
    """Exit code of the last line."""

    @property
    def name(self) -> str:
        """Name of the session."""
        return self.model.session or ""

    def run(self) -> Exit:
        """Converse until the person leaves or the input ends. Return the exit code."""
        self._say(f"Session {one_line(self.name)}. /help lists the commands.")
        try:
            while True:
                self._take(self._read("you> "))
        except (Leave, EOFError):
            self._say(f"Continue with: waggle chat --session {one_line(self.name)}")
        return Exit.COMPLETE if self.interactive else self.code

    def _read(self, prompt: str) -> str:
        """Return the next line. Raises EOFError at the end, Leave on a second Ctrl-C."""
        if not self.interactive:
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            self._say(f"{prompt}{one_line(line)}")
            return line.strip()
        try:
            return input(prompt).strip()
        except KeyboardInterrupt:
            self._say("\nCtrl-C once more leaves.")
        try:
            return input(prompt).strip()
        except KeyboardInterrupt:
            raise Leave from None

    def _take(self, line: str) -> None:
        """Carry out a command, or submit a task; report an error and continue."""
        try:
            if line.startswith("/") and not line.startswith("//"):
                self._command(*line[1:].split(maxsplit=1))
            elif line:
                self.code = self._submit(line.removeprefix("/") if line.startswith("//") else line)
        except CommandError as error:
            self.session.screen.complain(one_line(error.message), one_line(error.action) if error.action else None)
            self.code = error.code

    def _command(self, name: str = "", argument: str = "") -> None:
        known: Mapping[str, Callable[[str], None]] = {
            "help": lambda _: self._say(HELP),
            "history": self._history,
            "new": self._new,
            "end": self._end,
            "quit": self._quit,
        }
        if name not in known:
            raise CommandError(f"there is no command /{one_line(name)}", "/help lists them", code=Exit.USAGE)
        known[name](argument)

    def _history(self, _: str) -> None:
        try:
            found = self.session.client.session(self.name)
        except NotFoundError:
            self._say("Nothing was said yet.")
        else:
            self.session.screen.answer(found, lambda: show_turns(self.session.screen, found))

    def _new(self, name: str) -> None:
        fields = self.model.model_dump(exclude_unset=True) | {"session": name or f"chat-{uuid4().hex[:8]}"}
        try:
            self.model = Task.model_validate(fields)
        except ValueError:
            problem = "a session's name has 1 to 255 printable ASCII characters without spaces"
            raise CommandError(problem, "/new NAME", code=Exit.USAGE) from None
        self._say(f"Session {one_line(self.name)}.")

    def _end(self, _: str) -> None:
        self.session.client.end_session(self.name, self.by)
        self._say("Ended. The next line starts with an empty conversation.")

    def _quit(self, _: str) -> None:
        raise Leave

    def _submit(self, line: str) -> Exit:
        """Submit the line as a task, follow its run, and show the result. Return its exit code."""
        task = self.model.model_copy(update={"objective": line})
        run_id = self.session.client.submit(task, uuid4().hex).run_id
        self._say(f"Run {one_line(run_id)}")
        if not self._follow(run_id):
            return Exit.WAITING
        screen, found = self.session.screen, self.session.client.result(run_id)
        paths = saved_files(self.session.client, found, place_for(run_id, self.save))
        screen.answer(found.model_dump(mode="json"), lambda: show_result(screen, found, paths, steps=False))
        return exit_code_of(found)

    def _follow(self, run_id: str) -> bool:
        """Follow the run until it has ended; answer its questions. Return False if one is left for later."""
        screen, client = self.session.screen, self.session.client
        while True:
            try:
                with typed_lines(partial(self._add, run_id)) if self.interactive else nullcontext():
                    waiting = watcher.watch(client, run_id, screen, view_for(screen), fresh=True, until_asked=True)
            except CommandError as stopped:
                if stopped.code is not Exit.INTERRUPTED:
                    raise
                self._offer_cancel(run_id)
                continue
            if waiting is None:
                return True
            for question in questions_of(waiting):
                if not self._answer(run_id, question):
                    show_waiting(screen, waiting)
                    return False

    def _add(self, run_id: str, text: str) -> None:
        """Add a line to the task at work; report an error and continue."""
        try:
            self.session.client.command(run_id, "messages", by=self.by, text=text, message_id=uuid4().hex)
        except CommandError as refused:
            self.session.screen.complain(one_line(refused.message), one_line(refused.action or ""))

    def _offer_cancel(self, run_id: str) -> None:
        """Cancel the run if the person wants it. Raises Leave on a second Ctrl-C."""
        try:
            wanted = input("\nCancel this run? [y/N] ").strip().lower()
        except (KeyboardInterrupt, EOFError):
            raise Leave from None
        if wanted in {"y", "yes"}:
            self.session.client.command(run_id, "cancel", by=self.by, reason="cancelled in a conversation")

    def _answer(self, run_id: str, question: QuestionView) -> bool:
        """Show a question and send the person's answer; return False if they leave it for later."""
        show_question(self.session.screen, run_id, question)
        self._say(f"Answer it here: {_ANSWERS}")
        while True:
            try:
                word, _, text = self._read("answer> ").partition(" ")
            except EOFError:
                return False
            if word == "later":
                return False
            try:
                self._give(run_id, question, word, text)
            except CommandError as refused:
                self.session.screen.complain(one_line(refused.message), one_line(refused.action or ""))
                continue
            return True

    def _give(self, run_id: str, question: QuestionView, word: str, text: str) -> None:
        """Send an answer, bound to the call that was shown."""
        replies = {Reply.APPROVE, Reply.RESPOND, Reply.REJECT, Reply.SKIP}
        if word not in replies:
            raise CommandError(f"`{one_line(word)}` is no answer", f"type one of: {_ANSWERS}", code=Exit.USAGE)
        proposal = question.asked.proposal
        target = Target(run_id, question.asked.request_id, proposal.digest if proposal else None, self.by)
        give_answer(self.session, target, Reply(word), text)

    def _say(self, text: str) -> None:
        """Print a remark of the conversation itself, which is no part of the JSON output."""
        self.session.screen.say(text)
