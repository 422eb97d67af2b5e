"""Check of the models' endpoints over HTTP: by the list of their models, by a call, and without showing the key."""

import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from pydantic import SecretStr

from infra.probe import free_port
from services.cli.checks import models
from services.cli.checks.models import check_models
from shared.config import Settings
from shared.llm.checking import UNCHECKED

KEY = "sk-very-secret-4711"
LISTED = {"object": "list", "data": [{"id": "gpt-5-mini"}, {"id": "other"}]}
REPLY = {"choices": [{"message": {"role": "assistant", "content": "a"}, "finish_reason": "length", "index": 0}]}


class Endpoint:
    """An endpoint with set answers, which keeps the requests."""

    def __init__(self):
        self.lists: tuple[int, object] = (200, LISTED)
        self.calls: tuple[int, object] = (200, REPLY)
        self.asked: list[tuple[str, str, dict]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer({}, *endpoint.lists)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(body, *endpoint.calls)

            def _answer(self, body, status, answer):
                endpoint.asked.append((f"{self.command} {self.path}", self.headers["Authorization"], body))
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def endpoint():
    made = Endpoint()
    with made.server:
        Thread(target=made.server.serve_forever, daemon=True).start()
        yield made
        made.server.shutdown()


async def checked(url, *, call=False, model="gpt-5-mini", **more):
    settings = Settings(
        openai_base_url=url, openai_api_key=SecretStr(KEY), model_strong=model, model_cheap=model, **more
    )
    found = [each for each in await check_models(settings, call=call) if each.subject == "model"]
    assert KEY not in str(found)
    return found


async def only(url, **more):
    [found] = await checked(url, **more)
    return found


async def test_an_endpoint_that_lists_the_model_is_well_and_says_how_long_it_took(endpoint):
    found = await only(endpoint.url)
    assert found.level == "ok"
    assert found.found.startswith(f"{endpoint.url}: it answers, and has gpt-5-mini (")
    assert found.found.endswith(" ms)")
    assert endpoint.asked == [("GET /v1/models", f"Bearer {KEY}", {})], "nothing that costs was asked"


async def test_a_wrong_name_of_a_model_is_named_with_the_nearest_one(endpoint):
    found = await only(endpoint.url, model="gpt-5-mimi")
    assert (found.level, "does not list the model gpt-5-mimi" in found.found) == ("warn", True)
    assert "did you mean gpt-5-mini? correct WAGGLE_MODEL_STRONG and WAGGLE_MODEL_CHEAP" in found.do


ANSWERS = [
    ((401, {"error": {"message": f"bad key {KEY}"}}), "fail", "it rejects the key (401)"),
    ((403, {}), "fail", "it rejects the key (403)"),
    ((404, {}), "warn", UNCHECKED),
    ((405, {}), "warn", UNCHECKED),
    ((200, "hello"), "warn", UNCHECKED),
    ((200, {"data": [{"name": "x"}]}), "warn", UNCHECKED),
    ((429, {}), "warn", "it accepts no more requests now (429)"),
    ((402, {}), "fail", "the provider's quota or credit is used up"),
    ((503, {}), "fail", "it answers with status 503"),
]


@pytest.mark.parametrize(("answer", "level", "words"), ANSWERS, ids=lambda each: str(each)[:30])
async def test_each_answer_to_the_request_for_models_has_its_finding(endpoint, answer, level, words):
    endpoint.lists = answer
    found = await only(endpoint.url)
    assert (found.level, words in found.found) == (level, True), found
    assert ("`waggle doctor --call`" in found.do) == (words == UNCHECKED)


async def test_a_call_of_one_token_checks_an_endpoint_without_a_list(endpoint):
    endpoint.lists = (404, {})
    found = await only(endpoint.url, call=True)
    assert (found.level, "gpt-5-mini answered a call of 1 token" in found.found) == ("ok", True)
    [(asked, _, body)] = endpoint.asked
    assert asked == "POST /v1/chat/completions"
    assert (body["model"], body["max_completion_tokens"]) == ("gpt-5-mini", 1)


async def test_a_call_of_a_model_that_is_not_there_fails_by_its_name(endpoint):
    endpoint.calls = (404, {"error": {"code": "model_not_found", "message": "no"}})
    found = await only(endpoint.url, call=True, model="gpt-9")
    assert (found.level, "it has no model gpt-9 (404)" in found.found) == ("fail", True)


async def test_an_embedding_model_is_called_as_such(endpoint):
    endpoint.calls = (200, {"object": "list", "data": [{"embedding": [0.5], "index": 0, "object": "embedding"}]})
    found = await checked(endpoint.url, call=True, model="", model_embed="small")
    assert [asked for asked, *_ in endpoint.asked] == ["POST /v1/embeddings"]
    assert [each.level for each in found] == ["ok"]


async def test_an_endpoint_that_is_not_there_fails_with_the_plain_cause():
    found = await only(f"http://127.0.0.1:{free_port()}/v1")
    assert (found.level, "nothing answers: the connection is refused" in found.found) == ("fail", True)
    unknown = await only("http://no-such-host.invalid/v1")
    assert "nothing answers: the name of its host is not known" in unknown.found


async def test_an_address_that_the_client_cannot_use_fails_without_its_password():
    found = await only("http://user:geheim@127.0.0.1:9/v1")
    assert (found.level, "no request can be made to its address" in found.found) == ("fail", True)
    assert "geheim" not in str(found)


async def test_an_endpoint_that_says_nothing_is_slow_not_gone(monkeypatch):
    monkeypatch.setattr(models, "WITHIN", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = await only(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
    assert (found.level, "it did not answer within 0.5 s" in found.found) == ("warn", True)
