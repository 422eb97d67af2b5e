"""docs/errors.md: every error code, what it means and what to do. The codes are compared with those in the code."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.manifests.code import ROOT
from reference.blocks import table

PAGE = Path("docs/errors.md")
_HEAD = """\
# Error codes

Codes are stable: match on them, never on messages. Results, events and HTTP answers carry them as
`{"code", "message", "retryable", "suggested_action"}`, dead letters in the header `dlt-error`, metrics in the label
`error`.
"""

_MESSAGES = {
    "invalid_envelope": ("a CloudEvents header is missing or malformed", "fix the sender"),
    "sealed": (
        "no key opens the record: a database that was restored lacks it, or another system has made the record up",
        "restore `run_keys` (docs/forgetting.md), then redrive it",
    ),
    "invalid_payload": ("the payload does not fit the schema of its type", "fix the sender; the schema is published"),
    "invalid_message": ("no version of this system can read the message", "fix the sender"),
    "wrong_topic": ("a message type on a topic where it does not belong", "find out who wrote it"),
    "wrong_message": ("a handoff of a type this agent does not take", "fix the sender"),
    "wrong_token": ("an answer or timer without the token of its handoff", "find out who wrote it"),
    "forbidden_target": ("a timer for a topic its writer may not write", "find out who wrote it"),
    "unsigned": ("a decision without a signature, or the gateway has no signing key", "sign it"),
    "unknown_signer": ("the signer has no public key in `WAGGLE_KEYS`", "add the key, or find out who wrote it"),
    "bad_signature": ("the signature does not match the record", "sign again with the right key"),
    "not_allowed": ("the signer lacks the role `decide` or the tenant", "have a permitted person decide"),
    "stale_signature": ("the decision arrived later than `WAGGLE_DECISION_WINDOW` after its time", "decide again"),
    "wrong_tenant": ("a memory for another tenant than the one it is stored for", "report it"),
    "defect": ("an unexpected exception in our code", "the log has the traceback; report it"),
    "too_large": ("more bytes than the limit", "put large content into files"),
    "unknown_channel": ("a notification for a channel that `WAGGLE_NOTIFY` no longer has", "add it, or discard it"),
}
_RUNS = {
    "unknown_agent": ("the task names an agent that has not announced itself", "correct the name, or start the agent"),
    "unknown_tenant": ("the tenant has no entry in `WAGGLE_TENANTS`", "correct the task, or add the tenant"),
    "forgotten": ("the run of that idempotency key was forgotten", "use another key"),
    "over_limit": ("the task asks for more than its tenant may", "lower its budget"),
    "not_permitted": ("an agent or tool that the tenant or agent may not use", "use a permitted one"),
    "rate_limited": ("more tasks or calls per minute than permitted", "retry after `Retry-After`"),
    "guardrail": ("a guardrail refuses the text", "take it out, or change the policy"),
    "model_check": ("the model check blocks the task, a result or a call", "`WAGGLE_GUARDRAILS`, section `check`"),
    "deadline": ("the run did not finish in time", "raise `budget.seconds` or the deadline"),
    "no_plan": ("no plan was accepted", "reword the objective; the message has the reasons"),
    "budget_exhausted": ("a limit of the run, the step or the day is used up", "raise the budget"),
    "loop": ("model, planner or reviewer brought nothing new, or agents passed work around", "reword the task"),
    "too_many_hops": ("the last agent that `budget.steps` permits handed over, too", "raise `budget.steps`"),
    "brief_altered": ("a brief between agents does not match its digest", "retried; find out who wrote it"),
    "too_many_turns": ("no answer within `WAGGLE_MAX_TURNS` turns", "split the task"),
    "invalid_reply": ("three answers of the model did not fit the schema", "use another model"),
    "needs_human": ("a person must decide", "`waggle approvals list`"),
    "no_decision": ("no person answered in time", "hand the task in again, or `waggle resume RUN`"),
    "rejected": ("a person rejected the plan or the call", "see the reason"),
    "cancelled": ("the run was cancelled", ""),
    "timeout": ("the step or tool exceeded its time", "raise `WAGGLE_STEP_TIMEOUT` or the tool's timeout"),
    "gave_up_waiting": ("a dependency of an agent did not answer in time", "`waggle doctor`"),
    "effect_failed": (
        "a call of an applied dry run failed; the message lists those that were made",
        "`waggle resume RUN`",
    ),
    "incomplete_log": (
        "changes of the run are missing from `runs.log`",
        "check the tools' own records, then submit again",
    ),
    "result_too_large": ("the tool's result is larger than a message may be", "ask for less"),
    "stopped": ("the kill switch stops this work", "`waggle stops` shows who stopped it and why"),
}
_MODELS = {
    "model_unavailable": ("no endpoint of the role answered", "see `waggle doctor`; retried twelve times"),
    "model_refused": ("the endpoint refuses the key or the model", "correct the settings"),
    "model_garbled": ("the reply is no usable completion: no JSON, no choices, or cut off", "use another endpoint"),
    "quota_exhausted": ("the provider's quota is used up", "raise it, or add an endpoint"),
    "context_length": (
        "the prompt is longer than the model's context, and cannot be packed any smaller",
        "use a larger model, or split the task; `WAGGLE_MODEL_WINDOWS` sets the size of a context",
    ),
    "content_filter": ("the provider's filter blocked the request or reply", "reword the task"),
    "refusal": ("the model refused", "reword the task"),
    "no_embedding_model": ("`WAGGLE_MODEL_EMBED` is not set", "set it"),
}
_TOOLS = {
    "invalid_arguments": ("arguments do not fit the tool's schema", "the model corrects them"),
    "unknown_tool": ("no tool of that name", "the model uses one of those listed"),
    "tool_failed": ("the tool failed; the message has its reason", "work without it"),
    "too_many_questions": ("a step asks people more than five questions", "the agent decides by itself"),
    "several_handoffs": ("one turn handed over to several agents", "the model chooses one"),
    "brief_too_large": ("the brief of a handoff is longer than 16,000 characters", "the model says less"),
    "refused_by_person": ("a person decided that the call is not made", "the model continues with their words"),
    "outcome_unknown": ("the call may or may not have happened", "check outside before any repeat"),
    "too_many_calls": ("the tool's limit for the step is used up", "work with what there is"),
    "breaker_open": ("the circuit breaker of the tool's dependency is open", "retry later"),
    "too_stale": ("a cached result exists but is older than permitted", "work without it"),
    "blackboard_away": ("the limits in Redis cannot be read, so the tool was not called", "retried by itself"),
    "untrusted_destination": ("a tainted context calls an address of the model's own making", "name it in the task"),
    "refused_address": ("a private or forbidden address", "list the host in the settings"),
    "unreachable": ("the server cannot be reached", "retry later"),
    "http_error": ("the server answered with an error status", "see the message"),
    "unsupported_content": ("the page's media type cannot be read", "use another source"),
    "missing_content": ("an attachment's bytes are not in the archive", "upload the file again"),
    "unknown_name": ("nothing of that name was left out of the brief", "the model reads one that the brief names"),
    "unknown_file": ("no file of that name", "use one of those listed"),
    "bad_name": ("not a plain file name", "leave folders out"),
    "unreadable": ("the file cannot be read", "work without it"),
    "server_unavailable": ("the MCP server is not connected", "reconnected by itself"),
    "refused_by_server": ("the MCP server refused the call", "correct the arguments"),
    "invalid_output": ("the MCP server's result does not fit its schema", "work without it"),
    "remote_refused": ("an agent elsewhere refused the request or the task", "see its words"),
    "remote_failed": ("the task of an agent elsewhere failed", "see its words"),
    "remote_cancelled": ("the task of an agent elsewhere was cancelled there", "retried with a new task"),
    "remote_late": ("an agent elsewhere exceeded its `timeout`, and its task was cancelled", "raise it"),
    "no_documents": (
        "no documents are attached, or configured for the tenant",
        "attach some, or set `WAGGLE_DOCUMENTS`",
    ),
    "unknown_document": ("no document of that name", "use one that `search_documents` returned"),
    "unreadable_document": ("the document cannot be parsed", "convert it"),
    "incomplete_search": ("nothing was found, and not all documents could be searched", "say so in the answer"),
    "unknown_table": ("no table of that name", "use one that `list_tables` returned"),
    "unreadable_file": ("the file cannot be read as a table", "correct the file"),
    "bad_sql": ("the query is not valid SQL", "correct it"),
    "read_only": ("only reading is permitted here", "use a SELECT, or another path"),
    "query_too_slow": ("the query exceeded its time", "filter or aggregate"),
    "bad_chart": ("the columns do not make a chart", "choose others"),
    "not_configured": ("the operator has not set up what the tool needs", "set it, or work without it"),
    "smtp_refused": ("the mail server refused the mail", "see the message"),
    "sandbox_missing": ("bubblewrap does not work on this host", "set `WAGGLE_SANDBOX`"),
    "bad_test": ("the file has no usable tests", "correct it"),
    "outside_project": ("a path outside the project", "use a relative path"),
    "not_text": ("the file is not UTF-8 text", "use another file"),
    "not_a_file": ("the path is a folder", "use another path"),
    "too_many_files": ("the project has too many files", "remove some"),
    "board_conflict": ("the entry on the board has another version than expected", "read it, and decide again"),
    "board_full": (
        "the board of the run holds all the entries or bytes it may",
        "save a file, post a reference",
    ),
    "resource_claimed": ("another run holds the resource", "wait, or `waggle claims`"),
    "too_many_claims": ("the run or its tenant holds as many claims as it may", "release some"),
    "run_over": ("the run has ended, and its claims with it", ""),
    "disk_full": ("no space is left in the project", "write less"),
}
_GATEWAY = {
    "unauthenticated": ("no key, or an unknown one (401)", "set `WAGGLE_KEY`"),
    "no_person": ("the identity token has no usable claim for the person (403)", "name another claim as `person`"),
    "no_grant": ("the person is in no group that has a role here (403)", "ask an operator for a grant"),
    "issuer_unavailable": ("the identity provider cannot be reached (503)", "retry"),
    "forbidden": ("the key lacks the role or the tenant (403)", "ask an operator for the role"),
    "unknown_host": ("the `Host` header is not accepted (421)", "set `WAGGLE_ALLOWED_HOSTS`"),
    "cross_site": ("a change requested by a page of another origin (403)", "use a program"),
    "invalid_request": ("the request does not fit the route (422)", "see `/openapi.json`"),
    "invalid_plan": ("the edited plan cannot be executed (422)", "change what the message names and answer again"),
    "too_slow": ("the body did not arrive in time (408)", "retry"),
    "too_many_uploads": ("the gateway takes no more uploads at the moment (503)", "retry after `Retry-After`"),
    "too_many_followers": ("too many event streams are open (503)", "retry after `Retry-After`"),
    "kafka_unavailable": ("Kafka does not answer; nothing was accepted (503)", "retry"),
    "archive_unavailable": ("Postgres does not answer (503)", "retry"),
    "blackboard_unavailable": ("Redis does not answer (503)", "retry"),
    "blackboard_busy": ("too many requests wait for Redis (503)", "retry"),
    "unknown_run": ("no such run for this tenant (404); in the log: not on the blackboard yet", "`waggle runs`"),
    "unknown_session": ("no such session for this tenant, or it has expired (404)", "`waggle sessions list`"),
    "unknown_step": ("the run has started no such step (404)", "`waggle trace RUN`"),
    "unknown_handoff": ("no such handoff (404)", "`waggle trace RUN --json`"),
    "unknown_turn": ("no such turn (404)", "`waggle trace RUN`"),
    "unknown_claim": ("no run holds the resource (404)", "`waggle claims`"),
    "unknown_memory": ("no such memory for this tenant, or it is forgotten (404)", "`waggle memory list`"),
    "unknown_forgetting": (
        "no such order to forget for this tenant, or not read yet (404)",
        "`waggle memory forgettings`",
    ),
    "memory_changed": ("the memory has another version than the one looked at (409)", "look at it once more"),
    "not_in_effect": ("a change of the memory is accepted and not yet visible (409)", "retry"),
    "not_started": ("the run is accepted and has not started (409)", "retry"),
    "not_finished": ("the run has no result yet (409)", "retry later"),
    "ended": ("the run, or the conversation, has ended (409)", ""),
    "wrong_state": ("the run takes no such command in its state (409)", "see `suggested_action`"),
    "more_than_expected": ("more runs or memories match than the preview showed (409)", "preview it once more"),
    "not_awaited": ("the decision is about another question (409)", "`waggle approvals show RUN`"),
    "already_applied": ("the dry run has been applied (409)", "`waggle result RUN`"),
    "nothing_to_carry_out": ("the run is no dry run with calls to apply (409)", ""),
    "readable": ("the batch to skip can be read (409)", "`/ready` of the held service names the offset"),
    "unreadable_run": ("the record of the run cannot be read (409)", "`waggle cancel RUN`"),
    "unknown_topic": ("no dead letters are kept of that topic (404)", "use one of those listed"),
    "unknown_dead_letter": ("no such dead letter (404)", "`waggle dlq list`"),
    "already_handled": ("the dead letter was redriven or discarded before (409)", "`--again` redrives once more"),
    "unreadable_batch": ("the records to look at are in an unreadable batch (409)", "look before it, or skip it"),
    "not_editable": (
        "the dead letter is an order, a timer, a log record or no JSON object (409)",
        "redrive or discard it",
    ),
    "invalid_edit": ("the edited payload does not match its schema (422)", "correct the named field"),
    "protected_field": ("an edit permits more than the original did (422)", "leave the field as it is"),
    "unchanged": ("the edit changes nothing (422)", "redrive the dead letter as it is"),
    "not_redrivable": ("the original record cannot be restored", "discard it"),
    "not_recordable": ("the action cannot be recorded", "shorten the reason"),
    "busy": ("another person works on the same dead letter or memory", "retry"),
}
_CONSOLE = {
    "unknown_key": ("the gateway does not know the key of the login", "copy it again, or ask an operator for one"),
    "no_key_needed": ("the gateway requires no key, so there is nothing to log in to", "use the console without"),
    "invalid_task": ("the form of a task has wrong fields", "correct the marked fields"),
    "empty_filter": ("an order for all that match has no filter", "choose a topic, an error, an age or a tenant"),
    "missing_field": ("the form lacks a reason or a decision", "fill it in and send the form again"),
    "unknown_page": ("the console has no such page", "use the links of the page"),
    "invalid_address": ("a part of the address is missing or malformed", "use the links of the page"),
    "invalid_form": ("the form cannot be read", "open the page again and send the form from there"),
    "wrong_form_token": ("the form belongs to another session, or to none", "open the page again"),
    "gateway_unavailable": ("the gateway cannot be reached", "check that it runs, and `WAGGLE_GATEWAY`"),
    "unreadable_answer": ("the answer does not fit the contract", "use one version of both, check `WAGGLE_GATEWAY`"),
    "unexpected_answer": ("the gateway, or a proxy before it, answered without an error of its own", "see its log"),
    "sessions_unavailable": ("Redis does not answer, so no session can be read", "reload the page"),
}
_INTERNAL = {
    "retryable": ("a temporary failure without a code of its own", "retried by itself"),
    "terminal": ("a permanent failure without a code of its own", "see the message"),
    "error": ("root of all errors raised on purpose", ""),
    "misconfigured": ("a setting is wrong; the service does not start", "the message names it"),
    "blackboard_lost": ("Redis is empty or outdated", "rebuilt by itself"),
    "log_damaged": ("a log in Kafka has lost records", "restore it; the message says what"),
    "conflict": ("another writer changed the state first", "decided again by itself"),
    "fenced": ("another worker has taken over", "the newer one continues"),
    "unwanted": ("the run does not await this work", ""),
    "ahead": ("an answer arrived before its question was written", "retried by itself"),
    "early": ("a timer arrived before it was due", "delivered again when due"),
}
GROUPS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Messages and dead letters": _MESSAGES,
    "Tasks, steps and runs": _RUNS,
    "Models": _MODELS,
    "Tools": _TOOLS,
    "Gateway": _GATEWAY,
    "Console": _CONSOLE,
    "Internal": _INTERNAL,
}

_RAISED = {"TerminalError", "RetryableError", "InvalidMessage", "ToolError", "Refused", "ErrorInfo", "unavailable"}
_POSITION = {"ToolError": 0, "unavailable": 0, "Refused": 1}
"""Position of the code among the positional arguments; the other errors take it by name."""
_CODE = re.compile(r"[a-z]+(?:_[a-z]+)*")


def pages() -> dict[Path, str]:
    """The page by its path. Raises ValueError when code and page do not name the same codes."""
    documented = {code for group in GROUPS.values() for code in group}
    if missing := raised() - documented:
        raise ValueError(f"add meaning and remedy of {', '.join(sorted(missing))} to a table in reference/errors.py")
    if stale := documented - _literals():
        raise ValueError(f"no code has {', '.join(sorted(stale))}, which reference/errors.py explains")
    return {PAGE: _HEAD + "".join(_section(title, group) for title, group in GROUPS.items())}


def _section(title: str, group: Mapping[str, tuple[str, str]]) -> str:
    rows = ((f"`{code}`", meaning, action) for code, (meaning, action) in sorted(group.items()))
    return f"\n## {title}\n\n{table(('code', 'meaning', 'what to do'), rows)}"


def raised() -> set[str]:
    """The codes that are given as literals to errors, or are class attributes of errors."""
    return {code for tree in _trees() for node in ast.walk(tree) for code in _codes(node)}


def _codes(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and _name(node.func) in _RAISED:
        named = [each.value for each in node.keywords if each.arg == "code"]
        position = _POSITION.get(_name(node.func))
        candidates = named or ([] if position is None else node.args[position : position + 1])
        yield from (text for each in candidates if (text := _literal(each)) and _CODE.fullmatch(text))
    elif isinstance(node, ast.ClassDef):
        yield from (text for each in node.body if (text := _attribute(each)))


def _attribute(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Assign) and _name(statement.targets[0]) == "code":
        return _literal(statement.value)
    return None


def _literals() -> set[str]:
    nodes = (node for tree in _trees() for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {text for node in nodes if (text := _literal(node))}


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _trees() -> Iterator[ast.Module]:
    for layer in ("schemas", "shared", "services"):
        for path in sorted((ROOT / layer).rglob("*.py")):
            if "cli" not in path.relative_to(ROOT).parts:
                yield ast.parse(path.read_text())
