"""One message of every type, with all there is to say, and the least that another language may write."""

from datetime import UTC, datetime

from schemas import (
    approval,
    dead,
    event,
    log,
    memory_log,
    notification,
    plan,
    question_events,
    skip,
    step,
    step_events,
    stop,
    synthesis,
    task,
    timer,
)
from schemas.brief import Brief, Colleague, HandedBrief
from schemas.budget import Budget, Usage
from schemas.conflict import Conflict, Position
from schemas.error import ErrorInfo
from schemas.fact import Fact, Source
from schemas.memory import Memory, MemoryKind
from schemas.memory import Source as Record
from schemas.message import Message
from schemas.plan import Effect, Risk
from schemas.question import Vote
from schemas.settlement import Settlement
from schemas.verdict import Judgement, PlannedEffect, Proposal

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
USAGE = Usage(prompt_tokens=1200, completion_tokens=80, cost_usd=0.012, model_calls=2, tool_calls=1)
ERROR = ErrorInfo(code="timeout", message="no answer in 300 s", retryable=True, suggested_action="try again later")
ARTEFACT = task.Artefact(name="chart.png", media_type="image/png", size=2048, uri="blob:" + "0f" * 32)
CONTEXT = task.TaskContext(
    text="Orders of November.",
    data={"shop": "north", "weeks": [46, 47], "nested": {"deep": None}},
    attachments=[
        task.Attachment(name="note.txt", media_type="text/plain", text="Überraschung"),
        task.Attachment(name="orders.csv", media_type="text/csv", uri="blob:" + "ab" * 32, size=12_345),
        task.Attachment(name="page.html", uri="https://example.com/page"),
    ],
)
TASK = task.Task(
    objective="Find out why orders dropped",
    type="incident",
    shape=task.Shape.SINGLE,
    agent="data",
    context=CONTEXT,
    constraints=["only figures from the table"],
    budget=Budget(tokens=10_000, cost_usd=0.5, seconds=60),
    deadline=NOW,
    tenant="shop",
    priority=task.Priority.HIGH,
    dry_run=True,
    session="conversation-7",
    idempotency_key="order-4711/dropped",
    on_trouble="wait",
)
STEP = plan.PlannedStep(id="count", objective="Count them", agent="data", tools=["query"], risk=plan.Risk.HIGH)
PLAN = plan.Plan(steps=[STEP, STEP.model_copy(update={"id": "tell", "depends_on": ["count"]})], rationale="as asked")
CARD = plan.AgentCard(
    name="data",
    description="Queries tables.",
    tools=[plan.ToolCard(name="query", description="One SELECT.", risk=plan.Risk.LOW)],
)
OUTPUT = step.Output(
    answer="**17 %** fewer",
    facts=[
        Fact(name="drop", value=0.17),
        Fact(name="orders", value=60_000),
        Fact(name="certain", value=True),
        Fact(name="shop", value="north"),
    ],
    sources=[Source(title="orders.csv", uri="blob:" + "ab" * 32)],
    artefacts=[ARTEFACT],
    confidence=0.9,
    caveats=["one day is missing"],
)
BRIEF = Brief(
    request="Check the count",
    found="17 orders were dropped",
    facts=[Fact(name="dropped", value=17)],
    sources=[Source(title="orders.csv", uri="blob:" + "ab" * 32)],
    open_questions=["which shop?"],
    confidence=0.8,
)
CONFLICT = Conflict(
    subject="orders on Monday",
    positions=[Position(step_id="find", says="17"), Position(step_id="count", says="18")],
    resolved=False,
    resolution="A recount would settle it.",
    reason="Both steps read the same table.",
)
SYNTHESIS = step.Synthesis(
    answer="**17 %** fewer", facts=[], sources=[], confidence=0.8, caveats=["one day is missing"], conflicts=[CONFLICT]
)
HANDOFF = {
    "id": "run-1/step/count/1",
    "run_id": "run-1",
    "task_id": "task-1",
    "parent_id": "task-1",
    "tenant": "shop",
    "agent": "data",
    "objective": "Count them",
    "context": CONTEXT,
    "inputs": [step.StepOutput(step_id="find", agent="research", objective="Find them", output=OUTPUT)],
    "constraints": ["only figures from the table"],
    "feedback": ["the sum was wrong"],
    "budget": Budget(tokens=10_000),
    "budget_left": Budget(),
    "frugal": True,
    "timeout": 300,
    "deadline": NOW,
    "work_id": "run-1/step/count/0",
    "priority": task.Priority.HIGH,
    "settled": {"think-1/turn-1/call-1": Settlement(request_id="run-1/help/1", answer="it was sent")},
    "attempt": 2,
    "hop": 3,
    "dry_run": True,
    "session": "conversation-7",
}
ANSWER = {
    "id": "run-1/step/count/1/answer",
    "run_id": "run-1",
    "tenant": "shop",
    "agent": "data",
    "handoff_id": "run-1/step/count/1",
    "usage": USAGE,
    "models": ["waggle-simulated"],
    "seconds": 1.25,
}
EVALUATION = event.Evaluation(
    end=1,
    rules="0123456789ab",
    sampled="failed",
    checks=[
        event.CheckResult(name="completed", passed=True),
        event.CheckResult(name="sources", passed=False, why="sources that the run never saw: https://example.org"),
    ],
)
COMMAND = {"run_id": "run-1", "tenant": "shop", "by": "ada@example.com"}
FACT = {"run_id": "run-1", "tenant": "shop", "at": NOW, "by": "orchestrator"}
SUMMARY = task.StepSummary(
    id="count", agent="data", objective="Count them", status="failed", attempts=3, error=ERROR, seconds=9.5, usage=USAGE
)

JUDGED = Judgement(
    call="think-1/turn-1/call-1",
    action="tool_call",
    name="send_email",
    verdict="ask",
    rule="taint",
    reason="the task does not name eve@example.org",
    digest="0" * 64,
)
PROPOSAL = Proposal(
    call="think-1/turn-1/call-1",
    tool="send_email",
    arguments='{"to": ["eve@example.org"]}',
    digest="0" * 64,
    agent="communication",
    doing="Tell the shop",
    risk=Risk.HIGH,
    effect=Effect.IRREVERSIBLE,
    rule="taint",
    reason="the task does not name eve@example.org",
    if_approved="send_email is called once",
    if_rejected="it is not called",
    confidence=0.9,
    origins=["page:https://example.org/"],
    tried=["summarise_files {}: answered"],
    usage=USAGE,
    expires=86_400,
    usable=3_600,
)
EFFECT = PlannedEffect(
    **PROPOSAL.model_dump(include={"call", "tool", "arguments", "digest", "risk", "effect", "rule", "reason"}),
    verdict="ask",
    moves={"money": 12.5},
)
MEMORY = Memory(
    tenant="shop",
    kind=MemoryKind.PROCEDURAL,
    content="Ask before a customer is written to.",
    sources=[Record(topic="runs.log", partition=2, offset=41, item=1)],
    created=NOW,
    importance=0.8,
    valid_from=NOW,
    valid_until=NOW,
    taint=["page:example.org"],
    subject="customer 42",
    agent="communication",
    run="run-1",
    session="trip",
    position=3,
    pinned=True,
    candidate=True,
    version=2,
)
VOTE = Vote(by="ada", person="ada@example.org", reply="approve", answer="go ahead", stage=0, at=NOW)
FULL: list[Message] = [
    TASK,
    task.Result(
        run_id="run-1",
        task_id="task-1",
        tenant="shop",
        status="failed",
        answer="**17 %** fewer",
        artefacts=[ARTEFACT],
        steps=[SUMMARY, SUMMARY.model_copy(update={"status": "done", "answer": "17 %", "error": None})],
        usage=USAGE,
        confidence=0.9,
        caveats=["one day is missing"],
        conflicts=[CONFLICT],
        error=ERROR,
        models=["waggle-simulated"],
        session="conversation-7",
        idempotency_key="order-4711/dropped",
        started=NOW,
        finished=NOW,
    ),
    step.MakePlan(**HANDOFF, shape=task.Shape.SUPERVISOR, agents=[CARD], max_steps=12),
    step.DoStep(
        **HANDOFF,
        step_id="count",
        tools=["query"],
        effects=[EFFECT],
        path=["research", "data"],
        colleagues=[Colleague(name="code", description="programs")],
        must_answer="it is the last",
        handed=HandedBrief(by="research", step_id="look", brief=BRIEF, digest=BRIEF.digest, tainted=True),
    ),
    synthesis.WriteAnswer(**HANDOFF, plan=PLAN),
    step.ReviewResult(**HANDOFF, plan=PLAN, synthesis=SYNTHESIS),
    step.PlanProposed(**ANSWER, plan=PLAN),
    step.StepCompleted(**ANSWER, output=OUTPUT),
    step.HandedOff(**ANSWER, to="code", brief=BRIEF, brief_digest=BRIEF.digest, tainted=True, caveats=["unchecked"]),
    synthesis.AnswerWritten(**ANSWER, synthesis=SYNTHESIS),
    step.ResultReviewed(**ANSWER, accepted=False, reasons=["no source"], redo=["count"]),
    step.HandoffFailed(**ANSWER, error=ERROR),
    step.HelpAsked(
        **ANSWER, question="Send it?", options=["send", "do not"], call="think-1/turn-1/call-1", proposal=PROPOSAL
    ),
    timer.DeadlinePassed(run_id="run-1", tenant="shop"),
    timer.WaitExpired(run_id="run-1", tenant="shop", request_id="run-1/help/1"),
    timer.QuestionDue(run_id="run-1", tenant="shop", request_id="run-1/help/1"),
    timer.ResultDue(run_id="run-1", tenant="shop", end=0),
    timer.TimerSet(due=NOW, topic="runs", key="run-1", headers={"ce_id": "d1"}, value='{"run_id": "run-1"}'),
    log.RunChanged(
        run_id="run-1",
        tenant="shop",
        epoch=2,
        number=7,
        cause="h1/answer",
        at=NOW,
        events=[log.LoggedEvent(type="waggle.plan-dropped.v1", data={"reason": "rejected"})],
    ),
    log.JournalWritten(tenant="shop", work_id="run-1/count/1", epoch=3, name="think-1/turn-1", entry={"reply": [1]}),
    log.AgentAnnounced(card=CARD),
    log.GenerationBegun(epoch=3, at=NOW),
    approval.HumanDecided(**COMMAND, request_id="run-1/help/1", decision="reject", answer="not to customers"),
    approval.HumanDecided(
        **COMMAND, request_id="run-1/help/1", decision="reject", reply="edit", arguments='{"to": "ada@example.org"}'
    ),
    approval.WithdrawAnswer(**COMMAND, request_id="run-1/help/1"),
    approval.DelegateQuestion(**COMMAND, request_id="run-1/help/1", to="bob"),
    approval.CarryOut(**COMMAND, digest="0" * 64),
    approval.CancelRun(**COMMAND, reason="no longer needed"),
    approval.PauseRun(**COMMAND, reason="let me look"),
    approval.ResumeRun(**COMMAND),
    approval.EndSession(**COMMAND, session="trip"),
    approval.AddMessage(**COMMAND, message_id="m1", text="Only March."),
    approval.Feedback(**COMMAND, solved=False, score=2, comment="The wrong month."),
    approval.RecordEvaluation(**COMMAND, evaluation=EVALUATION),
    approval.Feedback(**COMMAND, solved=False, score=2, comment="The total is wrong."),
    approval.ReleaseClaim(**COMMAND, resource="customer 42", number=3, reason="its agent is gone"),
    dead.DeadLetterHandled(
        name="agents.data.dlt/0/7", action="discarded", by="ada", at=NOW, reason="a test of theirs", died=NOW
    ),
    event.RunStarted(**FACT, task_id="task-1", task=TASK, deadline=NOW),
    event.Moved(**FACT, source=event.State.PLANNING, target=event.State.FAILED, reason="no plan", error=ERROR),
    event.GuardrailTripped(
        **FACT, guardrail="secret", action="redact", where="objective", why="has the form of a GitHub token", count=2
    ),
    event.ResultReleased(**FACT, unanswered=["run-1/count/0.0.1"]),
    event.MoveRefused(**FACT, source=event.State.COMPLETE, wanted="pause", reason="the run is COMPLETE"),
    event.AnswerIgnored(**FACT, handoff_id="run-1/plan/1"),
    event.Spent(**FACT, usage=USAGE, models=["waggle-simulated"]),
    notification.Notification(
        id="7f3a",
        channel="ops",
        about=notification.About.QUESTION,
        tenant="shop",
        at=NOW,
        subject="approval of a call: send_mail (high risk)",
        text="Asked:\n| May it be sent?",
        run_id="run-1",
        request_id="run-1/q1",
        agent="communication",
        task_type="incident",
        risk=Risk.HIGH,
        groups=["sales"],
        expires=NOW,
        link="https://waggle.example.org/runs/run-1/question?id=run-1%2Fq1&tenant=shop",
        window=NOW,
    ),
    skip.BatchSkipped(topic="tasks", partition=1, first=7, end=9, by="eva", reason="its disk failed", at=NOW),
    memory_log.MemoryKept(memory=MEMORY, by="memory", reason="derived from a run"),
    memory_log.MemoryForgotten(tenant="shop", id=MEMORY.id, by="ada", reason="she asked us to", at=NOW),
    memory_log.ForgettingOrdered(tenant="shop", subject="customer 42", run="run-1", session="trip", by="ada", at=NOW),
    memory_log.TurnNoted(
        tenant="shop",
        run_id="run-1",
        session="trip",
        started=NOW,
        ended=NOW,
        source=Record(topic="runs.log", partition=2, offset=41),
        asked="Find a hotel. I prefer a quiet room.",
        caller="ada",
        said=[memory_log.PersonWords(by="eva", words="The one by the river.")],
        answer="The Adler is by the river.",
        origins=["agent:research"],
        done=NOW,
        outcome="1 fact",
    ),
    stop.WorkStopped(scope="tenant:shop", by="eva", reason="it spends too much", at=NOW),
    event.BudgetReached(**FACT, share=0.8, limit="tokens"),
    event.ActionsJudged(**FACT, handoff_id="run-1/tell/0.0.1", judged=[JUDGED]),
    event.EffectsApproved(**FACT, digest="0" * 64, deadline=NOW),
    event.DeadlineMoved(**FACT, deadline=NOW),
    event.PlanRequested(**FACT, handoff_id="run-1/plan/1"),
    event.PlanAccepted(**FACT, plan=PLAN),
    event.PlanRefused(**FACT, problems=["`tell` waits for itself"]),
    event.PlanDropped(**FACT, reason="rejected"),
    step_events.StepDispatched(
        **FACT, step_id="count", agent="data", objective="Count", handoff_id="run-1/step/count/1", attempt=1
    ),
    step_events.StepDone(**FACT, step_id="count", output=OUTPUT, seconds=1.25, usage=USAGE),
    step_events.StepHandedOff(
        **FACT,
        step_id="count",
        to="code",
        brief=BRIEF,
        brief_digest=BRIEF.digest,
        next=plan.PlannedStep(id="code-2", objective="Count", agent="code", depends_on=["count"]),
        seconds=1.25,
        usage=USAGE,
    ),
    step_events.StepAsked(**FACT, step_id="count", question="Send it?", options=["send"]),
    step_events.AttemptFailed(**FACT, handoff_id="run-1/step/count/1", error=ERROR, final=True),
    step_events.StepsReopened(**FACT, step_ids=["count"], feedback=["no source"]),
    event.SynthesisRequested(**FACT, handoff_id="run-1/@write/0.0.1"),
    event.SynthesisWritten(**FACT, synthesis=SYNTHESIS),
    event.SynthesisOmitted(**FACT, reason="the writer failed"),
    event.ReviewRequested(**FACT, handoff_id="run-1/review/1"),
    event.ReviewGiven(**FACT, accepted=True, reasons=[], redo=[]),
    question_events.HelpRequested(
        **FACT, request_id="run-1/help/1", about="step", step_id=None, question="Send it?", options=["send"]
    ),
    question_events.HelpAnswered(**FACT, request_id="run-1/help/1", decision="approve", answer=""),
    question_events.AnswerGiven(**FACT, request_id="run-1/help/1", vote=VOTE, effective=NOW),
    question_events.AnswerWithdrawn(**FACT, request_id="run-1/help/1", person="ada"),
    question_events.QuestionDelegated(**FACT, request_id="run-1/help/1", person="ada", to="bob"),
    question_events.QuestionReminded(**FACT, request_id="run-1/help/1", number=1, groups=["finance"]),
    question_events.QuestionEscalated(**FACT, request_id="run-1/help/1", groups=["heads"]),
    question_events.QuestionEdited(**FACT, request_id="run-1/help/1", proposal=PROPOSAL, before="{}"),
    question_events.QuestionExpired(**FACT, request_id="run-1/help/1", then="reject"),
    event.RunResumed(**FACT, deadline=NOW),
    event.MessageAdded(**FACT, message_id="m1", text="Only March.", own=True),
    event.FeedbackGiven(
        **FACT,
        person="ada",
        solved=True,
        before=False,
        score=5,
        comment="Now it is right.",
        task_type="incident",
        state="COMPLETE",
        agents={"data": None},
        models=["small"],
        cost_usd=0.012,
        steps=2,
    ),
    event.RunEvaluated(**FACT, evaluation=EVALUATION, task_type="incident", agents={"data": None}, cost_usd=0.012),
    event.AnswerOutdated(**FACT, handoff_id="run-1/@plan/0.0.1", unread=1, repeated=True),
    event.SessionEnded(**FACT),
    event.FeedbackGiven(**FACT, person="ada", solved=False, before=True, score=2, comment="The total is wrong."),
    event.ClaimReleased(**FACT, resource="customer 42", number=3, reason="its agent is gone"),
]

_AT = '"run_id": "run-1", "tenant": "shop", "at": "2026-11-20T13:30:00.5+01:00", "by": "orchestrator"'
_EVALUATION = '{"end": 0, "rules": "0123456789ab", "sampled": "others", "checks": []}'
_BY = '"run_id": "run-1", "tenant": "shop", "by": "ada"'
_ASKED = (
    '"id": "h1", "run_id": "run-1", "task_id": "t1", "tenant": "shop", "agent": "data", "objective": "Count", '
    '"budget_left": {}, "timeout": 30, "deadline": "2026-11-20T12:30:00Z"'
)
_SAID = '"id": "a1", "run_id": "run-1", "tenant": "shop", "agent": "data", "handoff_id": "h1"'
_PLAN = '{"steps": [{"id": "count", "objective": "Count", "agent": "data"}]}'
_VOTE = '{"by": "ada", "person": "ada", "reply": "approve", "at": "2026-11-20T12:30:00Z"}'
_PROPOSAL = (
    '{"call": "c1", "tool": "pay", "arguments": "{}", "digest": "d", "agent": "data", "doing": "Pay", "risk": "high", '
    '"effect": "irreversible", "rule": "risk", "reason": "r", "if_approved": "a", "if_rejected": "b", "confidence": 1, '
    '"expires": 60, "usable": 60}'
)
_TASK = '{"objective": "Count the orders"}'
_SYNTHESIS = '{"answer": "17", "facts": [], "sources": [], "confidence": 1, "caveats": [], "conflicts": []}'

LEAST: dict[str, str] = {
    "waggle.task.v1": _TASK,
    "waggle.result.v1": '{"run_id": "r", "task_id": "t", "tenant": "shop", "status": "rejected", '
    '"started": "2026-11-20T12:30:00Z", "finished": "2026-11-20T12:30:00Z"}',
    "waggle.make-plan.v1": f'{{{_ASKED}, "shape": "auto", "agents": [], "max_steps": 1}}',
    "waggle.do-step.v1": f'{{{_ASKED}, "step_id": "count"}}',
    "waggle.write-answer.v1": f'{{{_ASKED}, "plan": {_PLAN}}}',
    "waggle.review-result.v1": f'{{{_ASKED}, "plan": {_PLAN}}}',
    "waggle.plan-proposed.v1": f'{{{_SAID}, "plan": {_PLAN}}}',
    "waggle.handed-off.v1": f'{{{_SAID}, "to": "code", "brief": {{"request": "check"}}, "brief_digest": "ab"}}',
    "waggle.step-completed.v1": f'{{{_SAID}, "output": {{"answer": "17"}}}}',
    "waggle.answer-written.v1": f'{{{_SAID}, "synthesis": {_SYNTHESIS}}}',
    "waggle.result-reviewed.v1": f'{{{_SAID}, "accepted": true}}',
    "waggle.handoff-failed.v1": f'{{{_SAID}, "error": {{"code": "timeout", "message": "too slow"}}}}',
    "waggle.help-asked.v1": f'{{{_SAID}, "question": "Send it?"}}',
    "waggle.deadline-passed.v1": '{"run_id": "run-1", "tenant": "shop"}',
    "waggle.wait-expired.v1": '{"run_id": "run-1", "tenant": "shop", "request_id": "q1"}',
    "waggle.question-due.v1": '{"run_id": "run-1", "tenant": "shop", "request_id": "q1"}',
    "waggle.result-due.v1": '{"run_id": "run-1", "tenant": "shop", "end": 1}',
    "waggle.timer-set.v1": '{"due": "2026-11-20T12:30:00Z", "topic": "runs", "key": "k", "headers": {}, "value": "{}"}',
    "waggle.run-changed.v1": '{"run_id": "run-1", "tenant": "shop", "epoch": 1, "number": 1, "cause": "c1", '
    '"at": "2026-11-20T12:30:00Z", "events": []}',
    "waggle.journal-written.v1": '{"tenant": "shop", "work_id": "w1", "epoch": 1, "name": "n", "entry": null}',
    "waggle.generation-begun.v1": '{"epoch": 1, "at": "2026-11-20T12:30:00Z"}',
    "waggle.agent-announced.v1": '{"card": {"name": "data", "description": "Queries tables."}}',
    "waggle.withdraw-answer.v1": f'{{{_BY}, "request_id": "q1"}}',
    "waggle.delegate-question.v1": f'{{{_BY}, "request_id": "q1", "to": "bob"}}',
    "waggle.human-decided.v1": f'{{{_BY}, "request_id": "q1", "decision": "approve"}}',
    "waggle.carry-out.v1": f'{{{_BY}, "digest": "{"0" * 64}"}}',
    "waggle.cancel-run.v1": f'{{{_BY}, "reason": "no longer needed"}}',
    "waggle.add-message.v1": f'{{{_BY}, "message_id": "m1", "text": "Only March."}}',
    "waggle.record-evaluation.v1": f'{{{_BY}, "evaluation": {_EVALUATION}}}',
    "waggle.feedback.v1": f'{{{_BY}, "solved": true}}',
    "waggle.release-claim.v1": f'{{{_BY}, "resource": "customer 42", "number": 1, "reason": "it hangs"}}',
    "waggle.pause-run.v1": f'{{{_BY}, "reason": "let me look"}}',
    "waggle.resume-run.v1": f"{{{_BY}}}",
    "waggle.end-session.v1": f'{{{_BY}, "session": "trip"}}',
    "waggle.work-stopped.v1": '{"scope": "all", "by": "eva", "reason": "stop", "at": "2026-11-20T12:30:00Z"}',
    "waggle.memory-kept.v1": '{"memory": {"kind": "episodic", "content": "It rained.", '
    '"created": "2026-11-20T12:30:00Z", "sources": [{"topic": "runs.log", "offset": 7}]}, "by": "memory"}',
    "waggle.memory-forgotten.v1": '{"tenant": "shop", "id": "7f3a", "by": "ada", "at": "2026-11-20T12:30:00Z"}',
    "waggle.forgetting-ordered.v1": '{"tenant": "shop", "everything": true, "by": "ada", "at": "2026-11-20T12:30:00Z"}',
    "waggle.turn-noted.v1": '{"tenant": "shop", "run_id": "run-1", "started": "2026-11-20T12:30:00Z", '
    '"ended": "2026-11-20T12:30:00Z", "source": {"topic": "runs.log", "offset": 7}}',
    "waggle.batch-skipped.v1": '{"topic": "tasks", "partition": 1, "first": 7, "end": 9, "by": "eva", '
    '"reason": "garbage", "at": "2026-11-20T12:30:00Z"}',
    "waggle.dead-letter-handled.v1": '{"name": "tasks.dlt/0/7", "action": "redriven", "by": "ada", '
    '"at": "2026-11-20T12:30:00Z", "died": "2026-11-20T12:00:00Z"}',
    "waggle.notification.v1": '{"id": "7f3a", "channel": "ops", "about": "failed", "at": "2026-11-20T12:30:00Z", '
    '"subject": "A run failed", "text": "Failed: timeout"}',
    "waggle.run-started.v1": f'{{{_AT}, "task_id": "t1", "task": {_TASK}, "deadline": "2026-11-20T12:30:00Z"}}',
    "waggle.message-added.v1": f'{{{_AT}, "message_id": "m1", "text": "Only March."}}',
    "waggle.feedback-given.v1": f'{{{_AT}, "person": "ada", "solved": true}}',
    "waggle.run-evaluated.v1": f'{{{_AT}, "evaluation": {_EVALUATION}}}',
    "waggle.answer-outdated.v1": f'{{{_AT}, "handoff_id": "h1", "unread": 1, "repeated": true}}',
    "waggle.moved.v1": f'{{{_AT}, "source": "INTAKE", "target": "VALIDATING", "reason": "taken in"}}',
    "waggle.guardrail-tripped.v1": f'{{{_AT}, "guardrail": "secret", "action": "redact", "where": "objective", '
    '"why": "is a private key"}',
    "waggle.move-refused.v1": f'{{{_AT}, "source": "COMPLETE", "wanted": "pause", "reason": "it has ended"}}',
    "waggle.result-released.v1": f'{{{_AT}, "unanswered": []}}',
    "waggle.answer-ignored.v1": f'{{{_AT}, "handoff_id": "h1"}}',
    "waggle.spent.v1": f'{{{_AT}, "usage": {{}}, "models": []}}',
    "waggle.budget-reached.v1": f'{{{_AT}, "share": 0.5, "limit": "tokens"}}',
    "waggle.actions-judged.v1": f'{{{_AT}, "handoff_id": "h1", "judged": []}}',
    "waggle.effects-approved.v1": f'{{{_AT}, "digest": "{"0" * 64}", "deadline": "2026-11-20T12:30:00Z"}}',
    "waggle.deadline-moved.v1": f'{{{_AT}, "deadline": "2026-11-20T12:30:00-05:00"}}',
    "waggle.plan-requested.v1": f'{{{_AT}, "handoff_id": "h1"}}',
    "waggle.plan-accepted.v1": f'{{{_AT}, "plan": {_PLAN}}}',
    "waggle.plan-refused.v1": f'{{{_AT}, "problems": ["a cycle"]}}',
    "waggle.plan-dropped.v1": f'{{{_AT}, "reason": "rejected"}}',
    "waggle.step-dispatched.v1": f'{{{_AT}, "step_id": "count", "agent": "data", "objective": "Count", '
    '"handoff_id": "h1", "attempt": 1}',
    "waggle.step-done.v1": f'{{{_AT}, "step_id": "count", "output": {{"answer": "17"}}, "seconds": 1, "usage": {{}}}}',
    "waggle.step-handed-off.v1": f'{{{_AT}, "step_id": "count", "to": "code", "brief": {{"request": "check"}}, '
    '"brief_digest": "ab", "seconds": 1, "usage": {}}',
    "waggle.step-asked.v1": f'{{{_AT}, "step_id": "count", "question": "Send it?", "options": []}}',
    "waggle.attempt-failed.v1": f'{{{_AT}, "handoff_id": "h1", "error": {{"code": "x", "message": "y"}}, '
    '"final": false}',
    "waggle.steps-reopened.v1": f'{{{_AT}, "step_ids": ["count"], "feedback": []}}',
    "waggle.synthesis-requested.v1": f'{{{_AT}, "handoff_id": "h1"}}',
    "waggle.synthesis-written.v1": f'{{{_AT}, "synthesis": {_SYNTHESIS}}}',
    "waggle.synthesis-omitted.v1": f'{{{_AT}, "reason": "it failed"}}',
    "waggle.review-requested.v1": f'{{{_AT}, "handoff_id": "h1"}}',
    "waggle.review-given.v1": f'{{{_AT}, "accepted": true, "reasons": [], "redo": []}}',
    "waggle.help-requested.v1": f'{{{_AT}, "request_id": "q1", "about": "plan", "step_id": null, '
    '"question": "How?", "options": []}',
    "waggle.answer-given.v1": f'{{{_AT}, "request_id": "q1", "vote": {_VOTE}}}',
    "waggle.answer-withdrawn.v1": f'{{{_AT}, "request_id": "q1", "person": "ada"}}',
    "waggle.question-delegated.v1": f'{{{_AT}, "request_id": "q1", "person": "ada", "to": "bob"}}',
    "waggle.question-reminded.v1": f'{{{_AT}, "request_id": "q1", "number": 1, "groups": []}}',
    "waggle.question-escalated.v1": f'{{{_AT}, "request_id": "q1", "groups": ["heads"]}}',
    "waggle.question-edited.v1": f'{{{_AT}, "request_id": "q1", "before": "{{}}", "proposal": {_PROPOSAL}}}',
    "waggle.question-expired.v1": f'{{{_AT}, "request_id": "q1", "then": "reject"}}',
    "waggle.help-answered.v1": f'{{{_AT}, "request_id": "q1", "decision": "reject", "answer": "no"}}',
    "waggle.session-ended.v1": f"{{{_AT}}}",
    "waggle.claim-released.v1": f'{{{_AT}, "resource": "customer 42", "number": 1, "reason": "it hangs"}}',
    "waggle.run-resumed.v1": f'{{{_AT}, "deadline": "2026-11-20T12:30:00Z"}}',
}
