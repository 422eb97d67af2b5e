"""A question to people that is open, with the answers so far and what they amount to."""

from datetime import datetime

from pydantic import Field

from schemas.approval import HumanDecided
from schemas.message import Part
from schemas.question import Delegation, Kind, Reply, Vote
from schemas.question_events import HelpAnswered, HelpRequested
from schemas.verdict import Proposal

TIMEKEEPER = "timekeeper"
"""Author of what happens because of the time alone."""

ANSWERED = frozenset({Kind.QUESTION, Kind.OUTCOME})
"""Questions that are answered rather than approved: there, an older client's `approve` is the answer."""

_ACTING_WORDS = ANSWERED | {Kind.FAILURE, Kind.REVIEW}
"""Questions on which work proceeds with the words of a `respond`."""


class OpenQuestion(Part):
    """A question to people that has had no effect yet, with the answers so far."""

    asked: HelpRequested
    votes: list[Vote] = Field(default_factory=list)
    delegations: list[Delegation] = Field(default_factory=list)
    groups: list[str] = Field(default_factory=list)
    """Groups that may answer besides, since it was escalated."""
    answers: int = 0
    """Number of answers ever given, also those withdrawn: part of the ids of its timers."""
    edits: int = 0
    """Number of times people changed the proposed call, also of changes that were taken back."""
    original: Proposal | None = None
    """The call as it was proposed, if people have changed it."""
    reminded: int = 0
    escalated: bool = False
    effective: datetime | None = None
    """Time at which the decision takes effect; None: it is not decided."""
    reverify: bool = False
    """True if the reads behind the call are repeated before it is made."""

    @property
    def kind(self) -> Kind:
        """Subject of the question, also of one that an earlier version asked."""
        asked = self.asked
        if asked.kind is not None:
            return asked.kind
        if asked.about != "step":
            return Kind.REVIEW if asked.about == "review" else Kind.FAILURE
        return Kind.CALL if asked.proposal else Kind.QUESTION

    def reply_in(self, decision: HumanDecided | HelpAnswered) -> Reply:
        """Return the answer in a decision, also in one of an earlier version, which knew no replies."""
        said = decision.reply or Reply(decision.decision)
        return Reply.RESPOND if said is Reply.APPROVE and self.kind in ANSWERED else said

    def approves(self, reply: Reply) -> bool:
        """Return True if the answer counts towards the approvals that the question needs.

        Any other answer decides alone, because it makes no call.
        """
        return reply in (Reply.APPROVE, Reply.EDIT) or (reply is Reply.RESPOND and self.kind in _ACTING_WORDS)

    @property
    def stage(self) -> int:
        """Index of the first stage that lacks approvals; that of the last one if none does."""
        stages = self.asked.terms.stages
        lacking = (n for n, each in enumerate(stages) if self.approvals(n) < each.needed)
        return next(lacking, len(stages) - 1)

    def approvals(self, stage: int) -> int:
        """Return the number of people who have approved in a stage, of those who agree with each other."""
        return max((len(self._approving(stage, said)) for said in self._said()), default=0)

    @property
    def is_approved(self) -> bool:
        """True if every stage has the people it needs, and they agree over all stages."""
        return self._agreed is not None

    @property
    def deciding(self) -> Vote | None:
        """The answer that decides it: a refusal, or time, decides alone; else the last approval. None: undecided."""
        alone = next((each for each in self.votes if each.person == TIMEKEEPER or not self.approves(each.reply)), None)
        agreed = [each for each in self.votes if self._saying(each) == self._agreed]
        return alone or (agreed[-1] if agreed and self.is_approved else None)

    @property
    def _agreed(self) -> str | None:
        """The approval that all stages share; None if none does."""
        stages = list(enumerate(self.asked.terms.stages))
        shared = (
            said for said in self._said() if all(len(self._approving(n, said)) >= stage.needed for n, stage in stages)
        )
        return next(shared, None)

    def _said(self) -> list[str]:
        """Return the different approvals that were given."""
        return list(dict.fromkeys(self._saying(each) for each in self.votes if self.approves(each.reply)))

    def _saying(self, vote: Vote) -> str:
        """Return what a vote says. Votes on a call are all about the same one; words agree if they are the same."""
        if self.asked.proposal is not None:
            return "the call"
        return f"{vote.reply}:{vote.answer if vote.reply is Reply.RESPOND else ''}"

    def _approving(self, stage: int, said: str) -> set[str]:
        votes = (each for each in self.votes if each.stage == stage and self.approves(each.reply))
        return {each.person for each in votes if self._saying(each) == said}

    def passed_on_by(self, person: str) -> list[Delegation]:
        """Return a person's delegation and those that it led to, in order."""
        found: list[Delegation] = []
        by = person
        while (link := next((each for each in self.delegations if each.by == by), None)) and link not in found:
            found.append(link)
            by = link.person or link.to
        return found

    @property
    def is_edited(self) -> bool:
        """True if the proposed call is one that a person has changed."""
        proposal = self.asked.proposal
        return self.edits > 0 and proposal is not None and proposal.edited_by is not None

    @property
    def needs_several(self) -> bool:
        """True if one person cannot approve it alone."""
        return sum(each.needed for each in self.asked.terms.stages) > 1

    @property
    def present_groups(self) -> list[str]:
        """Groups that may answer now; empty: everyone who may decide."""
        groups = self.asked.terms.stages[self.stage].groups
        return list(dict.fromkeys([*groups, *self.groups])) if groups else []
