"""The output guardrails on mails, webhooks and reports: what must not leave the house is refused, not altered."""

import pytest

from services.communication.tools import post_webhook, send_email, write_report
from tests.support.communication import MAIL, address, call, calling, hook, post, refused

__all__ = ["call", "hook", "post"]


def secret() -> str:
    return "ghp_" + "a1B2c3D4e5F6" * 3


@pytest.mark.parametrize("part", ["subject", "body"])
async def test_a_mail_that_holds_a_secret_is_not_sent_and_the_refusal_does_not_show_it(call, post, part):
    error = await refused(send_email, {**MAIL, part: f"key {secret()}"}, call)
    assert error.code == "guardrail"
    assert f"{part} has the form of a GitHub token" in str(error)
    assert secret() not in str(error)
    assert post.mails == []


async def test_a_mail_whose_file_holds_a_secret_is_not_sent(call, post, tmp_path):
    (tmp_path / "notes.txt").write_text(f"a\n{secret()}\n")
    error = await refused(send_email, {**MAIL, "attachments": ["notes.txt"]}, call)
    assert (error.code, post.mails) == ("guardrail", [])
    assert "file notes.txt" in str(error)


async def test_a_webhook_with_a_card_number_in_its_payload_is_not_called(tmp_path, hook):
    arguments = {"url": f"http://{address(hook)}/201", "payload": {"a": [{"b": "4111 1111 1111 1111"}]}}
    error = await refused(post_webhook, arguments, calling(tmp_path, webhook_allow=(address(hook),)))
    assert (error.code, hook.posts) == ("guardrail", [])


async def test_a_report_that_holds_a_secret_is_not_kept(tmp_path):
    error = await refused(write_report, {"name": "r.md", "title": "R", "body": secret()}, calling(tmp_path))
    assert (error.code, list(tmp_path.iterdir())) == ("guardrail", [])


async def test_a_tenants_policy_decides_what_must_not_leave(tmp_path, post):
    path = tmp_path / "guardrails.toml"
    path.write_text('[tenants.t.output]\nemail = "reject"\n')
    strict = calling(tmp_path, smtp=f"smtp://127.0.0.1:{post.port}", guardrails=path)
    assert (await refused(send_email, {**MAIL, "body": "ask bob@example.org"}, strict)).code == "guardrail"
    assert post.mails == []
