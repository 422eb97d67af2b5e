"""The communication agent's tools against a mail server and a web server on loopback."""

import email
import email.policy
import socket
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.communication.mail import compose
from services.communication.tools import post_webhook, send_email, summarise_files, write_report
from shared.tools import Effect, Risk
from shared.tools.smtp import server
from tests.support.communication import MAIL, address, calling, refused


def read(envelope):
    return email.message_from_bytes(envelope.content, policy=email.policy.default)


async def test_a_mail_arrives_as_text_and_html_with_its_attachments(call, post, tmp_path):
    (tmp_path / "figures.csv").write_text("a,b\n1,2\n")
    call.workspace.kinds["figures.csv"] = "text/csv"
    sent = await send_email.invoke({**MAIL, "attachments": ["figures.csv"]}, call)
    mail = read(post.mails[0])
    assert post.mails[0].mail_from == "swarm@example.org"
    assert post.mails[0].rcpt_tos == sent["recipients"] == ["ada@example.org"]
    assert (mail["From"], mail["To"]) == ("Waggle <swarm@example.org>", "ada@example.org")
    assert mail["Subject"] == sent["subject"] == "Numbers"
    assert mail.get_body(("plain",)).get_content().strip().replace("\r\n", "\n") == MAIL["body"]
    assert "<strong>3 %</strong>" in mail.get_body(("html",)).get_content()
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("figures.csv", "text/csv")
    assert attached.get_payload(decode=True).replace(b"\r\n", b"\n") == b"a,b\n1,2\n"


async def test_the_same_call_is_the_same_mail_and_another_call_another(call, post):
    first = await send_email.invoke(MAIL, call)
    again = await send_email.invoke(MAIL, call)
    other = await send_email.invoke(MAIL, replace(call, idempotency_key="run:step:other"))
    assert first["message_id"] == again["message_id"] != other["message_id"]
    assert [read(mail)["Message-ID"] for mail in post.mails] == [
        first["message_id"], first["message_id"], other["message_id"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Hi\r\nBcc: eve@example.org"},
        {"subject": "Hi\nX: y"},
        {"subject": "Hi\u2028Bcc: eve@example.org"},
        {"subject": "Hi\x85X: y"},
        {"subject": "x" * 201},
        {"to": ["ada@example.org\r\nBcc: eve@example.org"]},
        {"to": ["ada@example.org\n"]},
        {"to": ["ada@example.org, eve@example.org"]},
        {"to": ["Ada <ada@example.org>"]},
        {"to": ["ada"]},
        {"to": []},
        {"to": [f"a{n}@example.org" for n in range(11)]},
        {"body": "x" * 100_001},
        {"bcc": ["eve@example.org"]},
    ],
)
async def test_nothing_but_one_line_and_plain_addresses_gets_into_a_header(call, post, change):
    assert (await refused(send_email, {**MAIL, **change}, call)).code == "invalid_arguments"
    assert post.mails == []


@given(subject=st.from_regex(r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,200}\Z"))
def test_no_subject_that_passes_makes_a_second_header(subject):
    made = compose("a@example.org", ["b@example.org"], subject, "x", files=[], key="k")
    received = email.message_from_bytes(made.as_bytes(policy=email.policy.SMTP), policy=email.policy.default)
    assert received.keys() == made.keys()


async def test_the_html_part_carries_no_raw_html_no_script_address_and_no_image(call, post):
    await send_email.invoke({**MAIL, "body": "<b>x</b> ![i](https://evil.example/?q=1) [l](javascript:alert(1))"}, call)
    html = read(post.mails[0]).get_body(("html",)).get_content()
    assert "&lt;b&gt;" in html
    assert "<img" not in html
    assert 'href="javascript' not in html


async def test_temporary_refusals_are_retryable_and_permanent_ones_are_not(call, post):
    post.answers = {"ada@example.org": "451 later"}
    error = await refused(send_email, MAIL, call)
    assert (error.code, error.retryable, "451: later" in str(error)) == ("smtp_refused", True, True)
    post.answers = {"ada@example.org": "550 unknown user"}
    assert not (await refused(send_email, MAIL, call)).retryable
    post.answers = {"DATA": "554 spam"}
    error = await refused(send_email, MAIL, call)
    assert (error.code, error.retryable) == ("smtp_refused", False)


async def test_refused_recipients_among_accepted_ones_are_named(call, post):
    post.answers = {"bob@example.org": "550 unknown user"}
    sent = await send_email.invoke({**MAIL, "to": ["ada@example.org", "bob@example.org", "ada@example.org"]}, call)
    assert (sent["recipients"], sent["refused"]) == (["ada@example.org"], ["bob@example.org"])


async def test_an_unreachable_server_is_retryable(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await refused(send_email, MAIL, calling(tmp_path, smtp=f"smtp://127.0.0.1:{free.getsockname()[1]}"))
    assert (error.code, error.retryable) == ("unreachable", True)


async def test_a_connection_lost_after_the_mail_went_out_is_never_retried(call, post):
    post.silent = True
    error = await refused(send_email, MAIL, call)
    assert (error.code, error.retryable) == ("outcome_unknown", False)


async def test_a_missing_setting_is_named_and_a_password_never_shown(tmp_path):
    error = await refused(send_email, MAIL, calling(tmp_path))
    assert (error.code, "WAGGLE_SMTP" in str(error)) == ("not_configured", True)
    error = await refused(send_email, MAIL, calling(tmp_path, smtp="smtp://u:hunter2@host:none"))
    assert (error.code, "hunter2" in str(error)) == ("not_configured", False)


def test_a_password_crosses_a_network_only_after_tls():
    assert server("smtp://u:p%40ss@mail.example:587").start_tls is True
    assert server("smtp://u:p%40ss@mail.example:587").password == "p@ss"
    assert server("smtp://mail.example").start_tls is None
    assert server("smtp://u:p@127.0.0.1:25").start_tls is None
    assert (server("smtps://mail.example").port, server("smtps://mail.example").tls) == (465, True)


async def test_an_unknown_or_too_large_attachment_sends_nothing(call, post, tmp_path, monkeypatch):
    assert (await refused(send_email, {**MAIL, "attachments": ["no.txt"]}, call)).code == "unknown_file"
    monkeypatch.setattr("services.communication.tools.MAX_MAIL_BYTES", 10)
    (tmp_path / "big.txt").write_text("x" * 11)
    assert (await refused(send_email, {**MAIL, "attachments": ["big.txt"]}, call)).code == "too_large"
    assert post.mails == []


async def test_a_webhook_is_posted_as_json_with_the_idempotency_key(tmp_path, hook):
    call = calling(tmp_path, webhook_allow=(address(hook),))
    posted = await post_webhook.invoke({"url": f"http://{address(hook)}/201", "payload": {"ä": [1, None]}}, call)
    assert posted == {"status": 201, "url": f"http://{address(hook)}/201"}
    ((path, headers, payload),) = hook.posts
    assert (path, payload) == ("/201", {"ä": [1, None]})
    assert (headers["Idempotency-Key"], headers["Content-Type"]) == ("run:step:call", "application/json")


async def test_only_listed_hosts_get_webhooks(tmp_path, hook):
    arguments = {"url": f"http://{address(hook)}/200", "payload": {}}
    for allow in [(), ("127.0.0.1",), ("localhost",), ("127.0.0.1:1",)]:
        assert (await refused(post_webhook, arguments, calling(tmp_path, webhook_allow=allow))).code == "not_allowed"
    sneaky = {"url": f"http://{address(hook)}@evil.example/200", "payload": {}}
    allowed = calling(tmp_path, webhook_allow=(address(hook),))
    assert (await refused(post_webhook, sneaky, allowed)).code == "refused_address"
    assert hook.posts == []


UNKNOWN = ("outcome_unknown", False)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (308, ("http_error", False)),
        (400, ("http_error", False)),
        (429, ("http_error", True)),
        (302, UNKNOWN),
        (500, UNKNOWN),
        (503, UNKNOWN),
    ],
)
async def test_redirects_are_not_followed_and_failures_say_whether_it_may_have_happened(tmp_path, hook, status, said):
    call = calling(tmp_path, webhook_allow=(address(hook),))
    error = await refused(post_webhook, {"url": f"http://{address(hook)}/{status}", "payload": {}}, call)
    assert (error.code, error.retryable) == said
    assert str(status) in str(error)
    assert len(hook.posts) == 1


async def test_a_report_loads_nothing_when_it_is_shown(call, tmp_path):
    image = "![x](https://evil.test/?d=s)"
    await write_report.invoke({"name": "week.md", "title": image, "body": image}, call)
    assert "![" not in (tmp_path / "week.md").read_text()


async def test_a_report_is_kept_listed_and_can_be_attached(call, post, tmp_path):
    made = await write_report.invoke({"name": "week.md", "title": "Week 7", "body": "All well.\n"}, call)
    assert made["media_type"] == "text/markdown"
    assert (tmp_path / "week.md").read_text() == "# Week 7\n\nAll well.\n"
    assert await summarise_files.invoke({}, call) == [{"name": "week.md", "media_type": "text/markdown", "size": 20}]
    await send_email.invoke({**MAIL, "attachments": ["week.md"]}, call)
    assert [part.get_filename() for part in read(post.mails[0]).iter_attachments()] == ["week.md"]


@pytest.mark.parametrize("name", ["week.txt", "../week.md", "a/b.md", "a\\b.md", "a\n.md", ".md"])
async def test_a_report_has_a_plain_name_that_ends_in_md(call, tmp_path, name):
    assert (await refused(write_report, {"name": name, "title": "T", "body": "b"}, call)).code == "invalid_arguments"
    assert list(tmp_path.iterdir()) == []


def test_the_tools_say_what_calling_them_twice_would_do():
    declared = {
        each.name: (each.effect, each.risk) for each in (send_email, post_webhook, write_report, summarise_files)
    }
    assert declared == {
        "send_email": (Effect.IRREVERSIBLE, Risk.HIGH),
        "post_webhook": (Effect.COMPENSABLE, Risk.HIGH),
        "write_report": (Effect.IDEMPOTENT, Risk.LOW),
        "summarise_files": (Effect.READ, Risk.LOW),
    }
