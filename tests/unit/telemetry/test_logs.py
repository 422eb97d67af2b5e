"""Content of a log line, and text that never appears in one."""

import json
import logging
import time

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pydantic import SecretStr

from infra import entrusted
from services.cli.settings import CliSettings
from services.communication.settings import CommunicationSettings
from services.data.settings import DataSettings
from shared.config import Settings, read_settings
from shared.service import process
from shared.system.urls import bypass_loopback
from shared.telemetry import logs
from shared.telemetry.logs import SELDOM, LogRateLimiter, bind_message, handling, start_logging
from shared.telemetry.redaction import HIDDEN, LONGEST, Redaction, remember, secrets_in, secrets_of, shown
from tests.support.lines import logging_as

KEY = "correct-horse-battery"


class Handoff:
    run_id, step_id, tenant = "run-1", "step-2", "acme"


@pytest.fixture
def written():
    """Configures logging into a buffer; gives the lines written."""
    with logging_as("planner", KEY) as lines:
        yield lines


def test_a_line_written_while_a_message_is_handled_says_whose_it_is(written):
    tracer = TracerProvider().get_tracer("test")
    with handling(), tracer.start_as_current_span("process") as span:
        bind_message(Handoff())
        structlog.get_logger().info("working", turn=3)
    place = span.get_span_context()
    assert (
        written()[0].items()
        >= {
            "event": "working",
            "level": "info",
            "turn": 3,
            "service": "planner",
            "run": "run-1",
            "step": "step-2",
            "tenant": "acme",
            "trace_id": trace.format_trace_id(place.trace_id),
            "span_id": trace.format_span_id(place.span_id),
        }.items()
    )


def test_a_line_written_after_the_span_has_ended_still_says_which_it_was(written):
    tracer = TracerProvider().get_tracer("test")
    with handling():
        with tracer.start_as_current_span("process") as span:
            bind_message(Handoff())
        structlog.get_logger().info("waiting")
    assert written()[0]["trace_id"] == trace.format_trace_id(span.get_span_context().trace_id)


def test_a_message_that_does_not_name_its_run_is_logged_with_the_given_run_id(written):
    with handling():
        bind_message(object(), "run-7")
        structlog.get_logger().info("taken in")
    assert written()[0]["run"] == "run-7"


def test_the_next_message_does_not_have_the_fields_of_the_one_before(written):
    with handling():
        bind_message(Handoff())
    structlog.get_logger().info("idle")
    assert written()[0].keys() == {"event", "level", "timestamp", "service"}


def test_a_field_the_line_names_itself_is_kept(written):
    with handling():
        bind_message(Handoff())
        structlog.get_logger().info("another", run="run-9")
    assert written()[0]["run"] == "run-9"


def test_log_lines_of_libraries_have_the_same_form_and_are_silent_below_warning(written):
    with handling():
        bind_message(Handoff())
        logging.getLogger("aiokafka").info("joined the group")
        logging.getLogger("httpx").warning("asked %s", f"https://u:{KEY}@host/")
    (line,) = written()
    said = {
        "logger": "httpx",
        "level": "warning",
        "run": "run-1",
        "service": "planner",
        "event": "asked https://u:***@host/",
    }
    assert line.items() >= said.items()


def test_a_traceback_is_one_line_without_secrets(written):
    try:
        int(f"password={KEY}")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = written()
    assert "ValueError: invalid literal" in line["exception"]
    assert KEY not in json.dumps(line)


def test_an_unknown_level_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="use one of"):
        start_logging("LOUD", "planner")


SECRETS = {
    "a password in a URL": ("redis://waggle:hunter2@redis:6379/0", "redis://waggle:***@redis:6379/0"),
    "a password with an @ in a URL": ("redis://:p@ss@redis:6379", "redis://:***@redis:6379"),
    "a bearer's header": ("Authorization: Bearer abcdef", "Authorization: ***"),
    "a header as a pair": ("[('Authorization', 'Basic dTpw')]", "[('Authorization', '***')]"),
    "a bearer's token alone": ("sent Bearer abcdefghijklmnopqrst now", "sent Bearer *** now"),
    "a key of OpenAI's form": ("used sk-proj-abcdefghijklmnop1234", "used ***"),
    "a token of GitHub's form": ("ghp_abcdefghijklmnopqrstuvwxyz", "***"),
    "a JSON web token": ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "***"),
    "a connection string": ("host=db password=hunter2 user=w", "host=db password=*** user=w"),
    "JSON": ('{"api_key": "hunter2", "n": 1}', '{"api_key": "***", "n": 1}'),
    "several words in quotes": ('password="two words" user=u', 'password="***" user=u'),
    "quotes within quotes": ('{"token": "a\\"b", "n": 1}', '{"token": "***", "n": 1}'),
    "JSON in JSON": ('"{\\"password\\": \\"abc\\"}"', '"{\\"password\\": \\"***\\"}"'),
    "a token in an address": ("asked https://abcdef123@host/x", "asked https://***@host/x"),
    "a signed address": ("GET https://h/f?a=1&sig=abc%3D&b=2", "GET https://h/f?a=1&sig=***&b=2"),
    "a private key": (
        "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY-----",
    ),
}


@pytest.mark.parametrize(("said", "shown"), SECRETS.values(), ids=SECRETS)
def test_text_that_looks_like_a_secret_is_hidden(said, shown):
    assert Redaction().text(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "http://127.0.0.1:8080/v1/runs?mail=a@b.example",
        "used 512 tokens",
        "Basic needs are met",
        "prompt_tokens=5",
        "a task-force",
    ],
)
def test_text_that_is_no_secret_is_shown(said):
    assert Redaction().text(said) == said


def test_secrets_are_hidden_by_their_names_and_at_any_depth():
    said = {
        "event": "x",
        "smtp_password": "p",
        "made": [{"token": 1, "at": (f"…{KEY}…",)}],
        "count": 2,
        "raw": KEY.encode(),
    }
    shown = Redaction([KEY])(None, "info", said)
    assert shown == {
        "event": "x",
        "smtp_password": HIDDEN,
        "made": [{"token": HIDDEN, "at": ["…***…"]}],
        "count": 2,
        "raw": "b'***'",
    }


def test_the_settings_name_their_secrets_also_those_in_addresses():
    settings = Settings(
        openai_api_key=SecretStr("key-of-the-model"),
        redis="redis://:redis%2Fpass@host",
    )
    data = DataSettings(databases={"sales": "postgresql://u:sales-pass@host/sales?sslpassword=key-pass"})
    mail = CommunicationSettings(smtp="smtp://u:mail-pass@host:25")
    found = {"key-of-the-model", "redis/pass", "redis%2Fpass", "sales-pass", "key-pass", "mail-pass"}
    assert secrets_of(settings, data, mail) >= found


def test_a_short_known_secret_does_not_mangle_words():
    assert Redaction(["none"]).text("there are none") == "there are none"


def test_the_key_of_the_simulated_model_hides_no_name_while_other_short_keys_stay_hidden():
    known = secrets_in({"OPENAI_API_KEY": "simulated", "WAGGLE_KEY": "hunter2", "WAGGLE_REDIS": "redis://u:s3cret@h"})
    said = "model waggle-simulated refuses hunter2 and s3cret, OPENAI_API_KEY=simulated"
    shown = f"model waggle-simulated refuses {HIDDEN} and {HIDDEN}, OPENAI_API_KEY={HIDDEN}"
    assert Redaction(known).text(said) == shown


def test_telling_of_a_message_costs_next_to_nothing_until_a_line_is_written(written, monkeypatch):
    monkeypatch.setattr(logs, "_place", lambda: pytest.fail("looked up without a line"))
    with handling():
        bind_message(Handoff())
        structlog.get_logger().debug("not shown")
    assert written() == []


@pytest.mark.parametrize(
    "part", ["a", "a.", "-eyJ", "sk-", "password=", "token ", "://a:b", 'password="\\"', "eyJaaaaaaaa.-"]
)
def test_a_long_text_takes_no_time_in_which_the_process_does_nothing_else(part):
    began = time.process_time()
    Redaction().text(part * (LONGEST // len(part)))
    assert time.process_time() - began < 1


def test_a_text_that_is_too_long_is_cut_and_shows_no_part_of_a_secret_at_the_cut():
    said = "x" * (LONGEST - 5) + f" {KEY} " + "y" * LONGEST
    shown = Redaction([KEY]).text(said)
    assert shown == "x" * (LONGEST - 5) + f" *** … ({len(said):,} characters)"


@pytest.fixture
def clock():
    """Seconds that pass when the test says so."""
    return Clock()


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def test_a_library_that_repeats_itself_is_heard_once_a_minute_for_each_cause(clock):
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    handler.addFilter(LogRateLimiter(now=clock))
    library = logging.getLogger("test.aiokafka.conn")
    library.propagate = False
    library.addHandler(handler)
    for second in range(120):
        clock.seconds = second
        for node in range(70):
            library.error("Unable connect to node with id %s: %s", node, ConnectionRefusedError(111))
            library.error(f"Unable to update metadata from [{node}, 0x7f{node}]")
    assert len(heard) == 4
    assert "[4199 more were suppressed]" in heard[2]


def test_two_failures_of_one_line_are_two_causes(clock):
    calm = LogRateLimiter(now=clock)
    passed = []
    for failure in (ValueError("a"), KeyError("b"), ValueError("c")):
        record = logging.LogRecord("uvicorn", logging.ERROR, "", 1, "it failed", (), (type(failure), failure, None))
        passed.append(calm.filter(record))
    assert passed == [True, True, False]


def test_our_own_lines_are_held_back_only_where_they_are_marked(written):
    for number in range(10):
        structlog.get_logger().warning("dependency_unavailable", error="Redis", **SELDOM)
        structlog.get_logger().warning("dead letter", number=number)
    events = [line["event"] for line in written()]
    assert events.count("dependency_unavailable") == 1
    assert events.count("dead letter") == 10
    assert "seldom" not in written()[0]


def test_the_memory_of_causes_is_bounded(clock):
    calm = LogRateLimiter(now=clock)
    assert sum(calm.suppressed(number) is not None for number in range(5_000)) <= 1_001


@pytest.mark.parametrize(
    ("given", "found"), [("sk-test\n", "sk-test"), (" \tsk-test\r\n ", "sk-test"), ("sk-test", "sk-test")]
)
def test_a_setting_from_a_file_loses_the_whitespace_around_it(monkeypatch, given, found):
    monkeypatch.setenv("OPENAI_API_KEY", given)
    monkeypatch.setenv("WAGGLE_KAFKA", "kafka.example:9092\n")
    monkeypatch.setenv("WAGGLE_MODEL_KEYS", "a=sk-test\n,\nb=sk-test\n")
    monkeypatch.setenv("WAGGLE_HTTP_PORT", "8081\n")
    settings = Settings()
    assert settings.openai_api_key.get_secret_value() == found
    assert settings.kafka.endswith(":9092")
    assert {key.get_secret_value() for key in settings.model_keys.values()} == {found}
    assert settings.http_port == 8081


@pytest.mark.parametrize(
    "variable", ["OPENAI_API_KEY", "WAGGLE_KEY", "WAGGLE_REDIS", "WAGGLE_MODEL_KEYS", "WAGGLE_TOPIC_PREFIX"]
)
def test_a_control_character_inside_is_refused_by_variable_and_never_shown(monkeypatch, capsys, variable):
    monkeypatch.setenv(variable, "sk-first\nsecond-half")
    with pytest.raises(SystemExit) as ended:
        read_settings(CliSettings if variable == "WAGGLE_KEY" else Settings)
    assert str(ended.value).startswith(f"waggle cannot start: {variable}: ")
    assert "sk-first" not in str(ended.value)
    assert "second-half" not in str(ended.value)


def test_secrets_of_an_environment_are_known_before_any_setting_is():
    environment = {
        "OPENAI_API_KEY": "sk-one\n",
        "WAGGLE_REDIS": "redis://u:two-two@h:1/0",
        "WAGGLE_KEYS": "/etc/keys.toml",
        "HOME": "/root",
    }
    assert {"sk-one", "two-two"} <= secrets_in(environment)
    assert not secrets_in(environment) & {"/root", "/etc/keys.toml"}


@pytest.mark.parametrize("name", sorted(entrusted.SECRETS - {"WAGGLE_KEYS"} | {"WAGGLE_KEY", "WAGGLE_KAFKA_PASSWORD"}))
def test_every_secret_of_another_service_in_the_environment_is_known(name):
    secret = "wgs_" + "s" * 43
    address = f"smtp://bee:{secret}@host:25"
    forms = [f"one={secret},two=x", secret] if name.endswith(("KEY", "KEYS", "PASSWORD")) else [address, f"a={address}"]
    assert all(secret in secrets_in({name: form}) for form in forms)


def test_a_service_hides_the_secrets_of_others_in_its_environment(monkeypatch):
    monkeypatch.setenv("WAGGLE_SMTP", "smtp://bee:of-the-mail@host:25")
    monkeypatch.setenv("WAGGLE_DATABASES", "shop=postgresql://u:of-the-shop@host/a,b=postgresql://u:of-b-too@host/b")
    for name in ("load_policies", "start_tracing", "start_logging"):
        monkeypatch.setattr(process, name, lambda *_: None)
    process.connect("planner", Settings())
    assert shown("of-the-mail of-the-shop of-b-too") == " ".join(3 * [HIDDEN])
    remember(())


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "corp.example, 127.0.0.1"}, "corp.example,127.0.0.1,localhost,::1"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,b,127.0.0.1,localhost,::1"),
    ],
)
def test_no_proxy_is_asked_for_this_machine_and_others_stay_as_they_are(given, found):
    environment = given | {"HTTP_PROXY": "http://proxy.example:3128"}
    bypass_loopback(environment)
    assert environment["no_proxy"] == environment["NO_PROXY"] == found
    assert environment["HTTP_PROXY"] == "http://proxy.example:3128"
