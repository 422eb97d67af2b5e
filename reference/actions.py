"""docs/actions.md: every action and the way to it from the console, the command line, HTTP, Kafka and MCP.

One literal table; `tests/contract/test_actions_everywhere.py` compares it with the code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from reference.blocks import table

PAGE = Path("docs/actions.md")
_HEAD = """\
# Actions

Every action, and the way to it: in the console a page or form, on the command line a command, over HTTP the name of an
[operation](http-api.md), over Kafka a [type of message](schemas.md), over MCP a
[tool](mcp.md#waggle-as-an-mcp-server). Where an action is not available, the table says why.

"""


@dataclass(frozen=True, slots=True)
class Absent:
    """The reason why an action is not available in one place."""

    reason: str


Way: TypeAlias = str | tuple[str, ...] | Absent

_QUERY = Absent("a log answers no queries; a reader folds it by itself")
_PEOPLE = Absent("contents are for people; here they would enter another model's context")
_ONE_BY_ONE = Absent("one call handles one; a client repeats it")
_ON_PURPOSE = Absent("on purpose: one answer is for one question, looked at")
_READ_DLT = Absent("dead letters are the records of `<topic>.dlt`")
_RECORDED = Absent("the gateway handles it and records it in `dead.actions`: a record alone would handle nothing")
_LAST_RESORT = Absent("a last resort, for a person at the command line")

_RUN, _ORDERS = "GET /runs/{run_id}", "POST /runs/{run_id}/orders"
_QUESTION = "POST /runs/{run_id}/question"
_MEMORY = "GET /memories/{id}"
_LETTER = "/dead-letters/{topic}/{partition}/{offset}"


@dataclass(frozen=True, slots=True)
class Action:
    """An action with its way in each place."""

    name: str
    console: Way
    cli: Way
    http: Way
    kafka: Way
    mcp: Way

    @property
    def ways(self) -> tuple[Way, ...]:
        """Return the ways in the order of the columns."""
        return self.console, self.cli, self.http, self.kafka, self.mcp


def _answer(reply: str, *commands: str) -> Action:
    decided = "waggle.human-decided.v1"
    return Action(
        f"answer a question: {reply}", _QUESTION, ("decide", *commands), "decide_for_run", decided, "answer_question"
    )


def _change(name: str, verb: str, record: str = "waggle.memory-kept.v1") -> Action:
    operation = f"{verb}_memory"
    return Action(name, f"POST /memories/{{id}}/{verb}", f"memory {verb}", operation, record, operation)


def _local(name: str, command: str, reason: str) -> Action:
    absent = Absent(reason)
    return Action(name, absent, command, absent, absent, absent)


_KEEPING = "who decides what is kept has the credentials of Postgres, not a key of the gateway"

ACTIONS = (
    Action("submit a task", "POST /submit", "submit", "submit_task", "waggle.task.v1", ("submit_task", "run_task")),
    Action(
        "submit a task again",
        "POST /runs/{run_id}/resubmit",
        "submit",
        "submit_task",
        "waggle.task.v1",
        "submit_task",
    ),
    Action(
        "attach a file",
        "POST /submit",
        "submit",
        "upload_file",
        Absent("a task carries small texts; a larger file is uploaded over HTTP"),
        Absent("a client passes texts in the objective"),
    ),
    Action("list runs", "GET /runs", "runs", "list_runs", _QUERY, "list_runs"),
    Action("show a run", _RUN, "status", "show_run", "waggle.run-changed.v1", "run_status"),
    Action("follow a run", _RUN, "watch", "follow_run", "waggle.run-changed.v1", "follow_run"),
    Action(
        "say the next thing in a conversation",
        ("POST /sessions", "POST /sessions/{session:path}/say"),
        "chat",
        "submit_task",
        "waggle.task.v1",
        "submit_task",
    ),
    Action(
        "list conversations",
        "GET /sessions",
        "sessions list",
        "list_sessions",
        _QUERY,
        Absent("a client names the session that it continues"),
    ),
    Action(
        "show a conversation",
        "GET /sessions/{session:path}",
        "sessions show",
        "show_session",
        "waggle.run-changed.v1",
        _PEOPLE,
    ),
    Action(
        "end a conversation",
        "POST /sessions/{session:path}/end",
        "sessions end",
        "end_session",
        "waggle.end-session.v1",
        Absent("a client begins another session"),
    ),
    Action("read a result", _RUN, "result", "get_result", "waggle.result.v1", "get_result"),
    Action(
        "save a file of a result",
        "GET /runs/{run_id}/files/{sha256}/download",
        "result",
        "download_file",
        Absent("a result names its files; their bytes are in the archive"),
        _PEOPLE,
    ),
    Action("show the trace of a run", _RUN, "trace", "show_trace", "waggle.run-changed.v1", _PEOPLE),
    Action(
        "list what an agent saw",
        "GET /runs/{run_id}/steps/{step_id}/turns",
        "status",
        "list_turns",
        "waggle.journal-written.v1",
        _PEOPLE,
    ),
    Action(
        "show an exact prompt",
        "GET /runs/{run_id}/steps/{step_id}/turns/{turn}",
        "prompt",
        ("show_turn", "show_journal"),
        "waggle.journal-written.v1",
        _PEOPLE,
    ),
    Action(
        "show the record of a run",
        "GET /runs/{run_id}/record",
        Absent("`trace` and `status` show what it means; its entries are for the console and programs"),
        ("show_record", "show_record_contents"),
        "waggle.run-changed.v1",
        _PEOPLE,
    ),
    Action(
        "show the task of a run",
        "GET /runs/{run_id}/resubmit",
        Absent("`status` shows the objective; its author has the task"),
        "show_task",
        "waggle.task.v1",
        _PEOPLE,
    ),
    Action(
        "list open questions",
        "GET /inbox",
        ("inbox", "approvals", "approvals list"),
        "list_approvals",
        _QUERY,
        "list_questions",
    ),
    Action(
        "show a question",
        "GET /runs/{run_id}/question",
        "approvals show",
        "show_run",
        "waggle.run-changed.v1",
        "run_status",
    ),
    _answer("approve", "approvals approve"),
    _answer("edit", "approvals approve"),
    _answer("respond"),
    _answer("reject", "approvals reject"),
    _answer("skip"),
    Action("answer several questions", "POST /inbox/batch", *(_ON_PURPOSE,) * 4),
    Action(
        "withdraw an answer",
        f"{_QUESTION}/withdraw",
        "withdraw",
        "withdraw_answer",
        "waggle.withdraw-answer.v1",
        "withdraw_answer",
    ),
    Action(
        "pass a question on",
        f"{_QUESTION}/delegate",
        "delegate",
        "delegate_question",
        "waggle.delegate-question.v1",
        "delegate_question",
    ),
    Action(
        "apply a dry run",
        "POST /runs/{run_id}/apply",
        "apply",
        "carry_out_run",
        "waggle.carry-out.v1",
        "apply_dry_run",
    ),
    Action(
        "add a message to a run",
        "POST /runs/{run_id}/messages",
        ("say", "chat"),
        "say_to_run",
        "waggle.add-message.v1",
        "say_to_run",
    ),
    Action(
        "say if a run solved the problem",
        "POST /runs/{run_id}/feedback",
        "feedback",
        "give_feedback",
        "waggle.feedback.v1",
        Absent("an opinion is a person's to give"),
    ),
    Action("cancel a run", f"{_ORDERS}/cancel", "cancel", "cancel_run", "waggle.cancel-run.v1", "cancel_run"),
    Action("pause a run", f"{_ORDERS}/pause", "pause", "pause_run", "waggle.pause-run.v1", "pause_run"),
    Action("resume a run", f"{_ORDERS}/resume", "resume", "resume_run", "waggle.resume-run.v1", "resume_run"),
    Action(
        "show the board of a run",
        "GET /runs/{run_id}/board",
        "board",
        "show_board",
        "waggle.journal-written.v1",
        _PEOPLE,
    ),
    Action(
        "list claims on resources",
        "GET /claims",
        "claims list",
        "list_claims",
        "waggle.journal-written.v1",
        Absent("an agent asks for a resource and is given its holder"),
    ),
    Action(
        "release a claim",
        "POST /claims/release",
        "claims release",
        "release_claim",
        "waggle.release-claim.v1",
        Absent("a person ends it: only they know that its holder has stopped"),
    ),
    Action("list memories", "GET /memories", "memory list", "list_memories", "waggle.memory-kept.v1", "list_memories"),
    Action(
        "search memories as an agent does",
        "GET /memories/search",
        "memory search",
        "search_memories",
        Absent("a log answers no queries; an agent asks the store"),
        "search_memories",
    ),
    Action("show a memory", _MEMORY, "memory show", "show_memory", "waggle.memory-kept.v1", "show_memory"),
    _change("correct a memory", "correct"),
    _change("pin a memory", "pin"),
    _change("unpin a memory", "unpin"),
    _change("confirm a memory", "confirm"),
    _change("forget a memory", "forget", "waggle.memory-forgotten.v1"),
    Action(
        "forget a subject, a run, a conversation or a tenant",
        "POST /forget",
        "memory forget",
        "forget_selection",
        "waggle.forgetting-ordered.v1",
        "forget_selection",
    ),
    Action(
        "show reports of forgettings",
        ("GET /forgettings", "GET /forgettings/{id:path}"),
        "memory forgettings",
        ("list_forgettings", "show_forgetting"),
        Absent("an order is in the log; what came of it is in Postgres"),
        "list_forgettings",
    ),
    Action(
        "give one order to all runs that match",
        "POST /run-orders/{name}",
        ("batch pause", "batch resume", "batch cancel", "batch stop"),
        "act_on_runs",
        Absent("one record is about one run"),
        _ONE_BY_ONE,
    ),
    Action("stop all calls in a scope", f"{_ORDERS}/stop", "halt", "stop", "waggle.work-stopped.v1", "stop_work"),
    Action(
        "lift a stop",
        (f"{_ORDERS}/release", "POST /stops/{scope}"),
        "release",
        "start",
        Absent("a record without a value on `stops`, which has no type; its key is the scope"),
        "lift_stop",
    ),
    Action("list stops", "GET /", "stops", "list_stops", "waggle.work-stopped.v1", "list_stops"),
    Action(
        "list agents and tools",
        "GET /agents",
        ("agents", "tools"),
        "list_agents",
        "waggle.agent-announced.v1",
        "list_agents",
    ),
    Action(
        "list topics with groups and lag",
        "GET /topics",
        "topics",
        "list_topics",
        Absent("Kafka's own tools show it"),
        "list_topics",
    ),
    Action(
        "show a topic and its records",
        "GET /topics/{topic}",
        Absent("Kafka's own tools read records, with their filters"),
        ("show_topic", "peek_records"),
        Absent("a reader of the topic has them"),
        _PEOPLE,
    ),
    Action(
        "skip an unreadable batch",
        _LAST_RESORT,
        "topics skip",
        "skip_batch",
        "waggle.batch-skipped.v1",
        _LAST_RESORT,
    ),
    Action("list dead letters", "GET /dead-letters", "dlq list", "list_dead_letters", _READ_DLT, "list_dead_letters"),
    Action("show a dead letter", f"GET {_LETTER}", "dlq show", "show_dead_letter", _READ_DLT, "show_dead_letter"),
    Action(
        "redrive a dead letter",
        f"POST {_LETTER}/redrive",
        "dlq redrive",
        "redrive_dead_letter",
        _RECORDED,
        "redrive_dead_letter",
    ),
    Action(
        "discard a dead letter",
        f"POST {_LETTER}/discard",
        "dlq discard",
        "discard_dead_letter",
        _RECORDED,
        "discard_dead_letter",
    ),
    Action(
        "correct a dead letter and redrive it",
        f"POST {_LETTER}/edit",
        "dlq edit",
        "edit_dead_letter",
        _RECORDED,
        "edit_dead_letter",
    ),
    Action(
        "redrive all dead letters that match",
        "POST /dead-letters/all/redrive",
        "dlq redrive",
        "redrive_dead_letters",
        _RECORDED,
        _ONE_BY_ONE,
    ),
    Action(
        "discard all dead letters that match",
        "POST /dead-letters/all/discard",
        "dlq discard",
        "discard_dead_letters",
        _RECORDED,
        _ONE_BY_ONE,
    ),
    Action(
        "list notifications that were given up",
        "GET /dead-letters",
        "notify failed",
        "list_dead_letters",
        _READ_DLT,
        "list_dead_letters",
    ),
    Action(
        "list accesses to contents",
        "GET /audit",
        Absent("the log has each as a line `contents_shown`"),
        "list_audit",
        Absent("an access is no event of a run"),
        _PEOPLE,
    ),
    Action(
        "ask the audit record",
        ("GET /records", "GET /records/{number}"),
        "audit find",
        "find_records",
        Absent("a log answers no queries; the record is made of it"),
        _PEOPLE,
    ),
    Action(
        "export the audit record",
        ("GET /records/export",),
        "audit export",
        "export_records",
        Absent("a log answers no queries; the record is made of it"),
        _PEOPLE,
    ),
    Action(
        "sum up costs by the audit record",
        "GET /records/cost",
        "audit cost",
        "sum_costs",
        Absent("a log answers no queries; the record is made of it"),
        _PEOPLE,
    ),
    _local("prove the audit record", "audit verify", "it reads every row, with the credentials of Postgres"),
    _local("show how long the record is kept", "audit retention", _KEEPING),
    _local("set how long the record is kept", "audit keep", _KEEPING),
    _local("place a legal hold", "audit hold", _KEEPING),
    _local("end a legal hold", "audit release", _KEEPING),
    _local("remove what the record no longer keeps", "audit prune", _KEEPING),
    Action("show costs", "GET /costs", "costs", ("show_costs", "show_tenant_costs"), _QUERY, "show_costs"),
    Action(
        "count runs by state",
        "GET /",
        Absent("`waggle runs --json` has the runs to count"),
        "count_runs",
        _QUERY,
        Absent("`list_runs` has the runs to count"),
    ),
    Action(
        "log in and out",
        ("POST /login", "POST /logout"),
        Absent("`WAGGLE_KEY` has the key"),
        Absent("each request has the key"),
        Absent("Kafka's users and signatures"),
        Absent("`WAGGLE_KEY` has the key"),
    ),
    Action(
        "check the swarm",
        "GET /doctor",
        "doctor",
        "check_swarm",
        Absent("a check is a question to a service, not an event"),
        Absent("a finding is for the person who can correct a setting"),
    ),
    _local("test a channel of notifications", "notify test", "it uses the channel's secret, which no client has"),
    _local("decide recorded runs again", "replay", "it needs the credentials of Kafka, which no client has"),
    _local("judge recorded calls under another gate", "backtest", "it needs the credentials of Kafka, as replays do"),
    _local("rebuild the blackboard", "rebuild", "it needs the credentials of Kafka and Redis, which no client has"),
    _local("create a key", "keys new", "the secret half stays with the person who makes it"),
    _local("create the gateway's key", "keys gateway", "the secret half stays with the person who makes it"),
    _local("sign a command", "keys sign", "the private key stays with its owner"),
    _local("serve MCP clients", "mcp", "it is started where its client runs"),
    _local("start a stack on this machine", "up", "it starts processes here"),
    _local("stop that stack", "down", "it stops processes here"),
    _local(
        "run a suite of cases", "eval run", "its cases and results are files, and its runs are tasks like any other"
    ),
    _local("make a case of a run", "case from", "the suite is a file"),
    _local("measure the model check", "guardrails measure", "it asks the model of the services, with a file of texts"),
    _local("compare two runs of a suite", "eval compare", "the results are files"),
    _local("report the pass rates of suites", "eval report", "the results are files"),
    _local("run the demo", "demo", "it makes up a task and submits it"),
)


def pages() -> dict[Path, str]:
    """The page by its path."""
    heads = ("action", "console", "command line", "HTTP", "Kafka", "MCP")
    return {PAGE: _HEAD + table(heads, _rows())}


def _rows() -> Iterator[tuple[str, ...]]:
    for action in ACTIONS:
        yield action.name, *(_cell(way, "waggle " if way is action.cli else "") for way in action.ways)


def _cell(way: Way, before: str) -> str:
    if isinstance(way, Absent):
        return f"– {way.reason}"
    return ", ".join(f"`{before}{each}`" for each in ((way,) if isinstance(way, str) else way))
