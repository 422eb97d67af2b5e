"""The gateway as an A2A server, driven by the protocol's own client over real HTTP."""

import asyncio
import json
from contextlib import aclosing
from uuid import uuid4

import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import (
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import (
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct, Value
from jwt import PyJWKSet

from infra.probe import free_port
from schemas.approval import AddMessage, CancelRun
from schemas.event import Progressed
from schemas.plan import AgentCard
from schemas.step import Output, ResultReviewed, StepCompleted, answer_id
from schemas.task import Artefact
from services.gateway.a2a.signing import read_card_key
from shared.blackboard import RunStore, announce, append_live_event
from shared.errors import Misconfigured
from shared.runs.messages import ScreenedMessage
from shared.runs.run import in_flight
from shared.runs.tokens import token_for
from tests.support.console import Keys, waits
from tests.support.gateway_fixtures import apply, begin, records_of, serving

S = TaskState
BINDINGS = ("JSONRPC", "HTTP+JSON")


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=600)


@pytest.fixture
def keys(tmp_path) -> Keys:
    return Keys(tmp_path / "keys.toml")


class Edge:
    """A gateway that serves A2A, and clients of it."""

    def __init__(self, http, base: str) -> None:
        self.http = http
        self.base = base

    async def client(self, key: str | None = None, binding: str = "JSONRPC", *, streams: bool = False, **headers):
        card = await A2ACardResolver(self.http, self.base).get_agent_card()
        self.http.headers = ({"Authorization": f"Bearer {key}"} if key else {}) | headers
        config = ClientConfig(streaming=streams, httpx_client=self.http, supported_protocol_bindings=[binding])
        return ClientFactory(config).create(card)


@pytest.fixture
async def edges(settings, topics, redis):
    """Start gateways that serve A2A."""
    opened = []

    async def start(**own) -> Edge:
        base = f"http://127.0.0.1:{(port := free_port())}"
        context = serving(settings, port=port, a2a_url=base, **own)
        opened.append(context)
        return Edge(await context.__aenter__(), base)

    yield start
    for each in reversed(opened):
        await each.__aexit__(None, None, None)


def message(text: str = "", **fields) -> Message:
    parts = [Part(text=text)] if text else []
    given = {"message_id": uuid4().hex, "role": Role.ROLE_USER, "parts": parts} | fields
    return Message(**given)


def sending(sent: Message, *, at_once: bool = True, tenant: str = "") -> SendMessageRequest:
    configuration = SendMessageConfiguration(return_immediately=at_once)
    return SendMessageRequest(message=sent, configuration=configuration, tenant=tenant)


async def sent(client, *request, **more) -> list:
    return [each async for each in client.send_message(sending(*request, **more))]


async def completed(store, run_id: str, answer: str = "42", tenant: str = "default", **output):
    """The run, with its step done and its result accepted."""
    run, _, _ = await store.load(tenant, run_id)
    await apply(store, run_id, _answer(run, StepCompleted, "data", output=Output(answer=answer, **output)), tenant)
    run, _, _ = await store.load(tenant, run_id)
    return await apply(store, run_id, _answer(run, ResultReviewed, "reviewer", accepted=True), tenant)


def _answer(run, kind, agent: str, **fields):
    [handoff] = in_flight(run)
    about = {"run_id": run.id, "tenant": run.tenant, "agent": agent, "handoff_id": handoff}
    return kind(id=answer_id(handoff), token=token_for(run, handoff, agent), **about, **fields)


def own(found) -> dict:
    """Metadata of an update or a task that only Waggle understands."""
    return MessageToDict(found.metadata)["waggle"]


async def test_the_card_is_public_and_says_which_key_is_needed(edges, keys):
    keys.add("ada", ["viewer"])
    edge = await edges(principals=keys.path)
    card = (await edge.http.get("/.well-known/agent-card.json")).json()
    assert {each["protocolBinding"] for each in card["supportedInterfaces"]} == set(BINDINGS)
    assert {each["url"] for each in card["supportedInterfaces"]} == {f"{edge.base}/a2a"}
    assert card["securitySchemes"]["key"]["httpAuthSecurityScheme"]["scheme"] == "Bearer"
    assert card["capabilities"]["streaming"] is True
    assert (await edge.http.get("/a2a/.well-known/agent-card.json")).json() == card
    refused = await edge.http.post("/a2a", json={"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}})
    assert refused.status_code == 401


async def test_agents_are_skills_for_those_with_a_key(edges, keys, redis):
    await announce(redis, AgentCard(name="data", description="Works with tables."))
    await announce(redis, AgentCard(name="planner", description="Plans.", plannable=False))
    client = await (await edges(principals=keys_with(keys)["path"])).client(keys.keys["ada"])
    card = await client.get_extended_agent_card(GetExtendedAgentCardRequest())
    assert [each.id for each in card.skills] == ["task", "data"]


def keys_with(keys: Keys, **more) -> dict:
    keys.add("ada", ["viewer", "submit", "contents", "decide"], ("acme",))
    keys.add("eve", ["viewer", "submit"], ("other",))
    keys.add("vic", ["viewer"], ("acme",))
    return {"path": keys.path}


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_message_becomes_a_task_with_its_text_data_files_and_options(edges, settings, binding):
    client = await (await edges()).client(binding=binding)
    parts = [
        Part(text="Sum the orders."),
        Part(data=ParseDict({"year": 2026}, Value())),
        Part(raw=b"a,b\n1,2\n", filename="orders.csv", media_type="text/csv"),
        Part(url="https://files.example.org/x/list.txt?v=1", media_type="text/plain"),
    ]
    options = ParseDict({"waggle": {"shape": "single", "agent": "data", "budget": {"tokens": 5000}}}, Struct())
    [answer] = await sent(client, message(parts=parts, context_id="talk-1", metadata=options))
    [record] = await records_of(settings, "tasks", 1)
    task = json.loads(record.value)
    assert task["objective"] == "Sum the orders."
    assert task["session"] == "talk-1"
    assert (task["shape"], task["agent"], task["budget"]["tokens"]) == ("single", "data", 5000)
    assert task["context"]["data"] == {"year": 2026}
    stored, linked = sorted(task["context"]["attachments"], key=lambda each: each["name"], reverse=True)
    assert stored["name"] == "orders.csv"
    assert stored["uri"].startswith("blob:")
    assert (linked["name"], linked["uri"]) == ("list.txt", "https://files.example.org/x/list.txt?v=1")
    assert answer.task.status.state == S.TASK_STATE_SUBMITTED
    assert answer.task.context_id == answer.task.history[0].context_id == "talk-1"


async def test_the_same_message_is_the_same_task_and_another_callers_is_another(edges, keys):
    edge = await edges(principals=keys_with(keys)["path"])
    keys.add("bob", ["submit", "viewer"], ("acme",))
    once = message("count")
    ids = []
    for name in ("ada", "ada"):
        client = await edge.client(keys.keys[name])
        [answer] = await sent(client, once, tenant="acme")
        ids.append(answer.task.id)
        assert answer.task.history[0].parts[0].text == "count"
        assert answer.task.history[0].message_id == once.message_id
    client = await edge.client(keys.keys["eve"])
    [answer] = await sent(client, once, tenant="other")
    assert ids[0] == ids[1] != answer.task.id


@pytest.mark.parametrize("binding", BINDINGS)
async def test_wrong_messages_are_refused_with_what_is_wrong(edges, binding):
    client = await (await edges()).client(binding=binding)
    unknown = ParseDict({"waggle": {"objectiv": "x"}}, Struct())
    for wrong, words in (
        (message("x", metadata=unknown), "objectiv"),
        (message("x", role=Role.ROLE_AGENT), "role"),
        (message(parts=[Part(data=ParseDict({"a": 1}, Value()))]), "objective"),
        (message("x", metadata=ParseDict({"waggle": {"agent": "data"}}, Struct())), "single"),
        (message("x" * 20_001), "objective"),
        (message(parts=[Part(text="x"), *(Part(raw=each, filename="a.txt") for each in (b"1", b"2"))]), "distinct"),
    ):
        with pytest.raises(InvalidParamsError, match=words):
            await sent(client, wrong)
    with pytest.raises(TaskNotFoundError):
        await sent(client, message("x", task_id="run-none"))
    with pytest.raises(PushNotificationNotSupportedError):
        await client.create_task_push_notification_config(
            TaskPushNotificationConfig(task_id="run-none", id="a", url="https://example.org")
        )


async def test_a_completed_run_has_its_answer_data_and_files_as_artefacts(edges, store):
    edge = await edges()
    await begin(store, "run-a", session="talk")
    file = Artefact(name="chart.png", media_type="image/png", size=3, uri=f"blob:{'a' * 64}")
    await completed(store, "run-a", "**42**", artefacts=[file], confidence=0.9, caveats=["rounded"])
    task = await (await edge.client()).get_task(GetTaskRequest(id="run-a"))
    assert task.status.state == S.TASK_STATE_COMPLETED
    assert task.context_id == "talk"
    answer, chart = task.artifacts
    assert answer.parts[0].text == "**42**"
    assert MessageToDict(answer.parts[1].data)["caveats"] == ["rounded"]
    assert chart.parts[0].url == f"{edge.base}/v1/files/{'a' * 64}?tenant=default"


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_stream_has_every_update_once_and_ends_with_the_results(edges, store, sentinel, binding):
    client = await (await edges()).client(binding=binding, streams=True)
    await begin(store, "run-s")
    found, begun = [], asyncio.Event()

    async def follow():
        async for each in client.subscribe(SubscribeToTaskRequest(id="run-s")):
            found.append(each)
            begun.set()

    following = asyncio.create_task(follow())
    async with asyncio.timeout(20):
        await begun.wait()
        for number in range(3):
            await append_live_event(sentinel.scripts, doing("run-s", f"step {number}"))
        await completed(store, "run-s")
        await following
    assert found[0].task.status.state == S.TASK_STATE_WORKING
    said = [each.status_update.status.message.parts[0].text for each in found if each.HasField("status_update")]
    assert [each for each in said if "step" in each] == [f"data: step {number}" for number in range(3)] + [
        each for each in said if each.startswith("all steps")
    ]
    assert [each.artifact_update.artifact.artifact_id for each in found if each.HasField("artifact_update")] == [
        "answer"
    ]
    assert found[-1].status_update.status.state == S.TASK_STATE_COMPLETED


def doing(run_id: str, text: str) -> Progressed:
    about = {"run_id": run_id, "tenant": "default", "at": "2026-01-01T00:00:00Z", "by": "data"}
    return Progressed(**about, step_id="data", agent="data", doing=text)


async def test_a_client_that_lost_its_stream_resumes_at_another_replica_without_gap_or_double(edges, store, sentinel):
    await begin(store, "run-r")
    first, second = await edges(), await edges()
    expected = [f"data: step {number}" for number in range(30)]
    seen, last, replica = [], "0", 0
    writing = asyncio.create_task(_write_slowly(store, sentinel, 30))
    async with asyncio.timeout(60):
        while True:
            client = await (first, second)[replica % 2].client(streams=True, **{"Last-Event-ID": last})
            replica += 1
            taken = 0
            async with aclosing(client.subscribe(SubscribeToTaskRequest(id="run-r"))) as stream:
                async for each in stream:
                    if not each.HasField("status_update"):
                        continue
                    last = own(each.status_update)["event"]
                    seen.append(each.status_update.status)
                    taken += 1
                    if taken == 4:
                        break  # as if the replica had died
                else:
                    break
    await writing
    assert [each.message.parts[0].text for each in seen if "step " in each.message.parts[0].text] == expected
    assert seen[-1].state == S.TASK_STATE_COMPLETED
    assert replica > 5


async def _write_slowly(store, sentinel, count: int) -> None:
    for number in range(count):
        await append_live_event(sentinel.scripts, doing("run-r", f"step {number}"))
        await asyncio.sleep(0.02)
    await completed(store, "run-r")


@pytest.mark.parametrize(
    ("answer", "decided"),
    [
        ({"text": "approve"}, ("approve", "approve", "")),
        ({"text": "Reject: too expensive"}, ("reject", "reject", "too expensive")),
        ({"data": {"decision": "respond", "answer": "use EUR"}}, ("reject", "respond", "use EUR")),
    ],
)
async def test_a_question_is_input_required_and_the_next_message_answers_it(edges, store, settings, answer, decided):
    edge = await edges()
    client, streaming = await edge.client(), await edge.client(streams=True)
    await waits(store, "run-q", "Send the mail?")
    [stopped] = [each async for each in streaming.subscribe(SubscribeToTaskRequest(id="run-q"))]
    assert stopped.task.status.state == S.TASK_STATE_INPUT_REQUIRED
    assert "Send the mail?" in stopped.task.status.message.parts[0].text
    [question] = own(stopped.task)["questions"]
    assert {offer["answer"] for offer in question["offers"]} >= {"approve", "reject"}
    part = Part(text=answer["text"]) if "text" in answer else Part(data=ParseDict(answer["data"], Value()))
    await sent(client, message(parts=[part], task_id="run-q"))
    [record] = await records_of(settings, "decisions", 1)
    command = json.loads(record.value)
    assert (command["decision"], command["reply"], command["answer"]) == decided
    assert command["request_id"] == question["request_id"]


async def test_an_answer_of_a_caller_who_is_shown_no_question_does_not_become_a_message(edges, store, keys):
    keys.add("sam", ["submit", "viewer"], ("acme",))
    edge = await edges(principals=keys.path)
    await waits(store, "run-q", "Send the mail?", tenant="acme")
    given = MessageToDict(SendMessageRequest(message=message("approve", task_id="run-q")))
    sam = {"authorization": f"Bearer {keys.keys['sam']}"}
    refused = await edge.http.post("/a2a/message:send", json=given, headers=sam)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


async def test_a_message_to_a_task_at_work_is_added_to_it_and_is_in_its_history(edges, store, settings):
    edge = await edges()
    client = await edge.client()
    await begin(store, "run-w")
    given = message("only March", task_id="run-w", message_id="m-1")

    async def orchestrate() -> None:
        [record] = await records_of(settings, "control", 1)
        await apply(store, "run-w", ScreenedMessage(AddMessage.read(record.value)))

    _, [answered] = await asyncio.gather(orchestrate(), sent(client, given))
    assert [(each.message_id, each.parts[0].text) for each in answered.task.history] == [
        ("run-w/objective", "count"),
        ("m-1", "only March"),
    ]
    [again] = await sent(client, given)
    assert len(again.task.history) == 2
    with pytest.raises(InvalidParamsError, match="text only"):
        await sent(client, message(parts=[Part(url="https://example.org/a.csv")], task_id="run-w"))


async def test_an_ended_task_takes_neither_a_message_nor_a_cancellation(edges, store):
    edge = await edges()
    client = await edge.client()
    await begin(store, "run-w")
    await completed(store, "run-w")
    with pytest.raises(UnsupportedOperationError, match="has ended"):
        await sent(client, message("more", task_id="run-w"))
    with pytest.raises(TaskNotCancelableError):
        await client.cancel_task(CancelTaskRequest(id="run-w"))
    streaming = await edge.client(streams=True)
    with pytest.raises(UnsupportedOperationError, match="has ended"):
        [each async for each in streaming.subscribe(SubscribeToTaskRequest(id="run-w"))]


async def test_a_cancelled_task_is_returned_once_it_has_ended(edges, store, settings):
    client = await (await edges()).client()
    await begin(store, "run-c")
    cancelling = asyncio.create_task(client.cancel_task(CancelTaskRequest(id="run-c")))
    [record] = await records_of(settings, "control", 1)
    order = CancelRun.read(record.value)
    assert not cancelling.done()
    run = await apply(store, "run-c", order)
    await apply(store, "run-c", _answer(run, StepCompleted, "data", output=Output(answer="late")))
    assert (await asyncio.wait_for(cancelling, 20)).status.state == S.TASK_STATE_CANCELED


async def test_lists_are_filtered_paged_and_without_artefacts_unless_wanted(edges, store):
    client = await (await edges()).client()
    for number in range(5):
        await begin(store, f"run-{number}", session="odd" if number % 2 else "even")
    await completed(store, "run-1")
    first = await client.list_tasks(ListTasksRequest(page_size=3))
    rest = await client.list_tasks(ListTasksRequest(page_size=3, page_token=first.next_page_token))
    assert first.total_size == 5
    assert len({each.id for each in (*first.tasks, *rest.tasks)}) == 5
    assert not rest.next_page_token
    odd = await client.list_tasks(ListTasksRequest(context_id="odd"))
    assert {each.id for each in odd.tasks} == {"run-1", "run-3"}
    done = await client.list_tasks(ListTasksRequest(status=S.TASK_STATE_COMPLETED))
    assert [(each.id, len(each.artifacts)) for each in done.tasks] == [("run-1", 0)]
    whole = await client.list_tasks(ListTasksRequest(status=S.TASK_STATE_COMPLETED, include_artifacts=True))
    assert whole.tasks[0].artifacts[0].parts[0].text == "42"
    working = await client.list_tasks(ListTasksRequest(status=S.TASK_STATE_WORKING))
    assert [each.id for each in working.tasks] == ["run-4", "run-3", "run-2", "run-0"]
    paged, token = list[str](), ""
    while page := await client.list_tasks(ListTasksRequest(context_id="even", page_size=1, page_token=token)):
        paged += [each.id for each in page.tasks]
        assert page.total_size == 3
        if not (token := page.next_page_token):
            break
    assert paged == ["run-4", "run-2", "run-0"]
    await begin(store, "run-alone")
    alone = await client.list_tasks(ListTasksRequest(context_id="run-alone"))
    assert [each.id for each in alone.tasks] == ["run-alone"]
    latest = done.tasks[0].status.timestamp
    since = await client.list_tasks(ListTasksRequest(status_timestamp_after=latest))
    assert {each.id for each in since.tasks} == {"run-1", "run-alone"}
    for wrong in ({"page_size": 101}, {"page_size": -1}, {"page_token": "nonsense"}):
        with pytest.raises(InvalidParamsError):
            await client.list_tasks(ListTasksRequest(**wrong))


async def test_a_key_reaches_its_tenants_only_and_sees_what_its_roles_allow(edges, store, keys):
    edge = await edges(principals=keys_with(keys)["path"])
    await begin(store, "run-a", tenant="acme")
    await completed(store, "run-a", "secret", tenant="acme")
    ada = await edge.client(keys.keys["ada"])
    assert (await ada.get_task(GetTaskRequest(id="run-a"))).artifacts[0].parts[0].text == "secret"
    vic = await edge.client(keys.keys["vic"])
    assert not (await vic.get_task(GetTaskRequest(id="run-a"))).artifacts
    refused = await edge.http.post("/a2a/message:send", json={"message": {"messageId": "m", "role": "ROLE_USER"}})
    assert refused.status_code in (400, 403)
    refused = await edge.http.post(
        "/a2a/message:send", json=MessageToDict(SendMessageRequest(message=message("count")))
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    eve = await edge.client(keys.keys["eve"])
    with pytest.raises(TaskNotFoundError):
        await eve.get_task(GetTaskRequest(id="run-a"))
    for path in ("/a2a/tasks/run-a?tenant=acme", "/a2a/acme/tasks/run-a"):
        assert (await edge.http.get(path)).status_code == 403


@pytest.fixture(params=["P-256", "Ed25519"])
def signing_key(request, tmp_path):
    """PEM file with a private key."""
    key = ec.generate_private_key(ec.SECP256R1()) if request.param == "P-256" else Ed25519PrivateKey.generate()
    path = tmp_path / "card.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


async def test_a_card_is_signed_and_its_keys_are_public(edges, keys, redis, signing_key):
    await announce(redis, AgentCard(name="data", description="Works with tables: Ä."))
    edge = await edges(principals=keys_with(keys)["path"], a2a_signing_key=signing_key)
    published = PyJWKSet.from_dict((await edge.http.get("/.well-known/jwks.json")).json())
    algorithms, asked = ["ES256", "EdDSA"], []

    def key_of(kid, jku):
        asked.append(jku)
        return published[kid]

    verify = create_signature_verifier(key_of, algorithms)
    card = await A2ACardResolver(edge.http, edge.base).get_agent_card(signature_verifier=verify)
    client = await edge.client(keys.keys["ada"])
    extended = await client.get_extended_agent_card(GetExtendedAgentCardRequest(), signature_verifier=verify)
    assert asked == [f"{edge.base}/.well-known/jwks.json"] * 2
    assert [each.id for each in extended.skills] == ["task", "data"]
    card.supported_interfaces[0].url = "https://elsewhere.example"
    with pytest.raises(InvalidSignaturesError):
        verify(card)
    assert not {"d", "k"} & (await edge.http.get("/.well-known/jwks.json")).json()["keys"][0].keys()


async def test_without_a_key_a_card_is_unsigned_and_no_keys_are_published(edges):
    edge = await edges()
    assert "signatures" not in (await edge.http.get("/.well-known/agent-card.json")).json()
    assert (await edge.http.get("/.well-known/jwks.json")).status_code == 404


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None])
def test_a_wrong_signing_key_is_named_and_not_shown(tmp_path, content):
    path = tmp_path / "card.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Misconfigured, match="WAGGLE_A2A_SIGNING_KEY") as refused:
        read_card_key(path, "https://waggle.example")
    assert "AAAA" not in str(refused.value)
