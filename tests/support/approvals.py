"""Shared steps of tests: approvals."""

from email import message_from_bytes, policy


def mails_to(swarm, address: str) -> list:
    mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in swarm.state.mailbox.glob("*.eml")]
    return [mail for mail in mails if address in mail["To"]]
