"""Checks of models and MCP servers, made of what agents report."""

from datetime import UTC, datetime

from schemas.health import AgentHealth, ModelHealth, ServerHealth
from services.gateway.agent_checks import checks_of_reports

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def model(verdict="ok", seconds=0.1, endpoint=""):
    about = {"found": f"it is {verdict}", "action": "" if verdict == "ok" else "mend it", "at": AT}
    return ModelHealth(endpoint=endpoint, model="gpt", verdict=verdict, seconds=seconds, **about)


def server(**about):
    return ServerHealth.model_validate({"name": "time", "connected": True, "since": AT, "tools": 2} | about)


def checks(*reports, known=3):
    by_agent = {}
    for number, (agent, models, servers) in enumerate(reports):
        replica = AgentHealth(agent=agent, replica=str(number), models=models, servers=servers)
        by_agent.setdefault(agent, []).append(replica)
    return [(each.subject, each.verdict, each.found, each.action) for each in checks_of_reports(by_agent, known)]


LOST = server(connected=False, error="it ended with status 3", error_at=AT)


def test_a_model_is_as_well_as_the_agent_that_fares_worst_with_it():
    found = checks(("data", [model()], []), ("code", [model("fail")], []), ("data", [model("warn")], []))
    assert found == [("model gpt", "fail", "it is fail, as code found at 12:30:00 UTC", "mend it")]
    [check] = checks_of_reports({"data": [AgentHealth(agent="data", replica="a", models=[model(seconds=0.25)])]}, 1)
    assert (check.verdict, check.seconds, check.action) == ("ok", 0.25, "")


def test_endpoints_of_one_model_are_told_apart_by_their_names():
    found = checks(("data", [model(endpoint="main"), model("fail", endpoint="spare")], []))
    assert [each[:2] for each in found] == [("model gpt (main)", "ok"), ("model gpt (spare)", "fail")]


def test_a_server_fails_when_no_replica_reaches_it_and_warns_when_some_do():
    [_, well] = checks(("data", [model()], [server()]), ("code", [], [server()]))
    assert well == ("MCP server time", "ok", "connected to code, data, with 2 tools", "")
    [_, some] = checks(("data", [model()], [server()]), ("code", [], [LOST]))
    assert some[:3] == ("MCP server time", "warn", "unreachable for code since 12:30:00 UTC: it ended with status 3")
    assert "mcp_server_unavailable" in some[3]
    [_, none] = checks(("data", [model()], [LOST]))
    assert none[1] == "fail"
    [_, new] = checks(("data", [model()], [ServerHealth(name="time", connected=False)]))
    assert new[2] == "unreachable for data: it has not been tried yet"


def test_agents_that_report_nothing_are_a_warning_and_no_agents_are_none():
    assert [each[:2] for each in checks()] == [("models", "warn")]
    assert checks(known=0) == []
