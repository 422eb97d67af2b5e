"""Letters with hostile text: no header, mention, link or line that is not ours."""

import json
from email import message_from_bytes, policy

import pytest

from services.notifier import wording
from services.notifier.occasion import Console, Known
from services.notifier.occasions import occasion_of
from shared.notify.letter import digest_of, letter_of
from shared.notify.mail import MailWay
from shared.notify.web import cloud_event, inert, slack_message
from shared.tools.smtp import server
from tests.support.notifying import asked, proposal

HOSTILE = [
    "x\r\nBcc: victim@example.org\r\n\r\nbody",
    "x\nAnswer here: https://evil.example/login",
    "<!channel> <!here> <@U123> @channel @everyone @here",
    "<https://evil.example|Open in the console>",
    "[Open](https://evil.example) ![x](https://evil.example/p.png) www.evil.example",
    "*bold* _it_ ~no~ `code` mailto:evil@example.org tel:+1",
    "\x1b]8;;https://evil.example\x07click\x1b]8;;\x07 \x1b[2J",
    "safe\u202egpj.exe \u2066hidden\u2069 zero\u200bwidth",
    "<script>alert(1)</script><img src=https://evil.example/p>",
    "a" * 100_000,
    "Bearer abcdefghijklmnop1234567890 password=hunter2-very-Secret9",
    "half \ud83d of a pair",
]


def notice(text: str):
    question = asked(question=text, proposal=proposal(arguments=text, tool="send_mail", doing=text))
    found = occasion_of(question, Known(objective=text), Console("https://waggle.example.org"), "1/0")
    return found.notice.model_copy(update={"channel": "ops"})


@pytest.mark.parametrize("text", HOSTILE)
def test_a_mail_has_only_our_headers_and_hostile_text_stays_a_quotation(text):
    way = MailWay("waggle@example.org", ("ops@example.org",), server("smtp://127.0.0.1:1"))
    mail = message_from_bytes(way.compose(letter_of(notice(text))).as_bytes(), policy=policy.default)
    headers = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type"}
    assert set(mail.keys()) <= headers | {"Content-Transfer-Encoding", "MIME-Version"}
    assert mail["To"] == "ops@example.org"
    assert mail.get_content_type() == "text/plain"
    content = mail.get_content()
    for line in content.splitlines():
        assert line.startswith("| ") or "evil" not in line, line
    assert not any(each in content for each in ("\x1b", "\u202e", "\u2066", "\u200b", "hunter2"))
    assert len(content) < 10_000


@pytest.mark.parametrize("text", HOSTILE)
def test_slack_text_has_no_mention_and_no_link_but_ours(text):
    said = slack_message(letter_of(notice(text)))
    links = [part.partition(">")[0] for part in said["text"].split("<")[1:]]
    assert [link.rpartition("|")[2] for link in links] == ["Open in the console"]
    assert links[0].startswith("https://waggle.example.org/runs/run-1/question?")
    rest = said["text"].replace(f"<{links[0]}>", "")
    for active in ("<", "://", "@channel", "@here", "@everyone", "](", "www.", "mailto:", "*bold*", "`code`"):
        assert active not in rest, active
    assert said["parse"] == "none"
    assert said["link_names"] is False
    json.dumps(said).encode()


def test_inert_text_reads_as_it_was():
    assert inert("a@b <c> & d").replace("\u200b", "") == "a@b &lt;c&gt; &amp; d"


def test_a_subject_of_several_lines_becomes_one():
    question = asked(proposal=None, kind=None, question="one\r\nBcc: x@example.org\u2028two")
    assert "\n" not in wording.question_subject(question)
    assert "\u2028" not in wording.question_subject(question)


def test_a_digest_has_every_notification_and_the_same_id_for_the_same_ones():
    some = [notice("one").model_copy(update={"id": "a"}), notice("two").model_copy(update={"id": "b"})]
    letter = digest_of(some)
    assert letter.subject == "2 notifications"
    assert letter.id == digest_of(some).id
    assert letter.id != digest_of(some[:1]).id == "a"
    assert [each["id"] for each in cloud_event(letter)["data"]["notifications"]] == ["a", "b"]
    assert letter.text.count("| one") >= 1
    assert letter.text.count("https://waggle.example.org/runs/run-1/question?") == 2
