"""The databases of tau2-bench, from the wheel `inspect-evals`: initial states, tools, gold actions and hashes.

Runs in an environment of its own (`make evals-tau`), which has nothing of Waggle.
"""

import contextlib
import inspect
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from inspect_ai.tool import ToolError
from inspect_ai.util._store import Store, init_subtask_store
from inspect_evals.tau2.airline.AirlineAgentTools import AirlineAgentTools
from inspect_evals.tau2.airline.dataset import read_dataset as airline_tasks
from inspect_evals.tau2.banking.BankingAgentTools import BankingAgentTools
from inspect_evals.tau2.banking.BankingUserTools import BankingUserTools
from inspect_evals.tau2.banking.dataset import read_dataset as banking_tasks
from inspect_evals.tau2.banking.environment import apply_initial_state
from inspect_evals.tau2.banking.scorer import _build_expected_db
from inspect_evals.tau2.common.scorer import get_expected_db
from inspect_evals.tau2.data_model.tasks import Action, Task
from inspect_evals.tau2.retail.dataset import read_dataset as retail_tasks
from inspect_evals.tau2.retail.RetailAgentTools import RetailAgentTools
from inspect_evals.tau2.telecom.dataset import read_dataset as telecom_tasks
from inspect_evals.tau2.telecom.environment import Environment
from inspect_evals.tau2.telecom.solver import perform_action
from inspect_evals.tau2.telecom.TelecomAgentTools import TelecomAgentTools
from inspect_evals.tau2.telecom.TelecomUserTools import TelecomUserTools

TASKS: dict[str, Callable[..., Any]] = {
    "airline": airline_tasks,
    "retail": retail_tasks,
    "telecom": telecom_tasks,
    "banking": banking_tasks,
}
READS = ("get_", "find_", "search_", "list_", "calculate", "check_", "run_", "can_")
"""Beginnings of the names of tools that only read."""
USER = "user_"
"""Beginning of the names of the tools that the customer uses, as some are named like those of the clerk."""
MOST_STATES = 16
"""States that a server keeps in memory."""

sys.modules[TelecomAgentTools.__module__].uuid = SimpleNamespace(
    uuid4=lambda: SimpleNamespace(hex="0" * 32)
)  # new bills have random ids


class State:
    """The database of one case."""

    def __init__(self, domain: str, task: Task) -> None:
        self.agent, self.user, self.environment = _fresh(domain)
        if domain == "banking":
            apply_initial_state(self.agent, self.user, task.initial_state)
        elif self.environment and task.initial_state:
            for action in task.initial_state.initialization_actions or []:
                perform_action(self.environment, action)

    def apply(self, tool: str, arguments: dict[str, Any]) -> str:
        """Make a call. Raises ToolError."""
        tools = self.user if tool.startswith(USER) and self.user is not None else self.agent
        method = getattr(tools, tool.removeprefix(USER), None)
        answer = "done" if method is None else method(**arguments)  # such as a transfer to a person
        if self.environment:
            self.environment.sync_tools()
        return str(answer)

    @property
    def hash(self) -> str:
        """Hash of the database, as upstream computes it; telecom has a second one, of the customer's phone."""
        phone = [self.user.db.get_hash()] if self.environment else []
        return ":".join([self.agent.db.get_hash(), *phone])


_BASES: dict[str, bytes] = {}


def _fresh(domain: str) -> tuple[Any, Any, Any]:
    """Return new tools of the clerk and the customer, and of telecom the environment of both."""
    kinds = {"airline": AirlineAgentTools, "retail": RetailAgentTools, "telecom": TelecomAgentTools}
    agent = kinds.get(domain, BankingAgentTools)(store=Store())
    _load(domain, agent)
    if domain == "telecom":
        user = TelecomUserTools(store=Store())
        _load("phone", user)
        return agent, user, Environment(user_tools=user, tools=agent)
    if domain == "banking":
        user = BankingUserTools(store=Store())
        user.db, user.initialized = agent.db, True
        return agent, user, None
    return agent, None, None


def _load(name: str, tools: Any) -> None:
    if name not in _BASES:
        tools.initialize()
        _BASES[name] = pickle.dumps(tools.db)
    tools.db, tools.initialized = pickle.loads(_BASES[name]), True


class Cases:
    """The cases of a domain, by key."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        tasks = [Task.model_validate(sample.metadata["task"]) for sample in TASKS[domain]("cases")]
        self.tasks = {f"{domain}-{number}": task for number, task in enumerate(tasks, 1)}

    def gold(self, key: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the gold calls of a case: tool and arguments."""
        criteria = self.tasks[key].evaluation_criteria
        actions = (criteria.actions if criteria else None) or []
        return [(_named(each), each.arguments) for each in actions]

    def scenario(self, key: str) -> str:
        """Return what the customer wants, in the words of the benchmark."""
        said = self.tasks[key].user_scenario.instructions
        parts = [said] if isinstance(said, str) else [said.reason_for_call, said.known_info, said.task_instructions]
        return "\n".join(str(part) for part in parts if part)

    def tools(self) -> dict[str, dict[str, Any]]:
        """Return the tools that the gold calls use, with a schema of their arguments."""
        agent, user, _ = _fresh(self.domain)
        names = sorted({name for key in self.tasks for name, _ in self.gold(key)})
        return {name: _schema(user if name.startswith(USER) and user else agent, name) for name in names}

    def state(self, key: str, calls: Sequence[tuple[str, dict[str, Any]]] = ()) -> State:
        """Return the state of a case after calls."""
        state = State(self.domain, self.tasks[key].model_copy(deep=True))
        for tool, arguments in calls:
            with contextlib.suppress(ToolError):
                state.apply(tool, arguments)
        return state

    def expected(self, key: str) -> str:
        """Return the hash that upstream's own code reaches with the gold actions."""
        init_subtask_store(Store())  # upstream keeps each database in there
        task = self.tasks[key].model_copy(deep=True)  # its records become part of the database
        actions = (task.evaluation_criteria.actions if task.evaluation_criteria else None) or []
        match self.domain:
            case "airline" | "retail":
                return get_expected_db(self.domain, actions).db.get_hash()
            case "banking":
                return _build_expected_db(actions, task.initial_state).get_hash()
        return self._of_telecom(task, actions)

    def _of_telecom(self, task: Task, actions: Sequence[Action]) -> str:
        agent, user = TelecomAgentTools(store=Store()), TelecomUserTools(store=Store())
        agent.initialize()
        user.initialize()
        environment = Environment(user_tools=user, tools=agent)
        for action in (task.initial_state.initialization_actions if task.initial_state else None) or []:
            perform_action(environment, action)
        for action in actions:
            tools = user if action.requestor == "user" else agent
            getattr(tools, action.name)(**action.arguments)
            environment.sync_tools()
        return f"{agent.db.get_hash()}:{user.db.get_hash()}"


class States:
    """States of cases at work, the latest used ones."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases
        self._states: OrderedDict[str, State] = OrderedDict()

    def of(self, key: str, calls: Callable[[], Sequence[tuple[str, dict[str, Any]]]]) -> State:
        """Return the state of a case; one that is not there is made from its initial state and its calls."""
        if key not in self._states:
            self._states[key] = self._cases.state(key, calls())
        self._states.move_to_end(key)
        while len(self._states) > MOST_STATES:
            self._states.popitem(last=False)
        return self._states[key]

    def drop(self, key: str) -> None:
        """Forget the state of a case."""
        self._states.pop(key, None)


def _named(action: Action) -> str:
    return f"{USER}{action.name}" if action.requestor == "user" else action.name


def _schema(tools: Any, name: str) -> dict[str, Any]:
    method = getattr(tools, name.removeprefix(USER), None)
    known = inspect.signature(method).parameters.values() if method else []
    loose = {"type": "object", "additionalProperties": True}
    if method is None:
        return {**loose, "properties": {"case": {"type": "string"}}, "required": ["case"]}
    needed = ["case", *(each.name for each in known if each.default is inspect.Parameter.empty)]
    properties = {"case": {"type": "string"}, **{each.name: _type(each.annotation) for each in known}}
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _type(annotation: Any) -> dict[str, Any]:
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return {"type": names[annotation]} if annotation in names else {}
