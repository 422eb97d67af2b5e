"""Mail: plain text only, and a Message-ID that is the same for every repetition of a letter."""

from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate

import structlog

from shared.notify.failure import NotSent
from shared.notify.letter import Letter
from shared.tools import ToolError
from shared.tools.smtp import CONTROL, Server, deliver, message_id

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MailWay:
    """Mail to fixed recipients."""

    sender: str
    recipients: tuple[str, ...]
    server: Server

    async def send(self, letter: Letter) -> None:
        """Hand the mail to the server. Raises NotSent unless the server took it for a recipient."""
        try:
            refused = await deliver(self.compose(letter), self.recipients, self.server)
        except ToolError as failed:
            raise NotSent(str(failed), code=failed.code, unknown=failed.code == "outcome_unknown") from None
        if len(refused) == len(self.recipients):
            raise NotSent("the mail server refused every recipient", code="smtp_refused")
        if refused:
            log.error("mail_recipients_refused", channel=letter.about.channel, count=len(refused))

    async def close(self) -> None:
        """Do nothing: every mail has a connection of its own."""

    def compose(self, letter: Letter) -> EmailMessage:
        """Compose the mail. Its headers hold nothing but one line each."""
        mail = EmailMessage()
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail["Subject"] = CONTROL.sub(" ", f"[Waggle] {letter.subject}")[:200]
        mail["Date"] = formatdate()
        mail["Message-ID"] = message_id(f"{letter.about.channel}/{letter.id}", self.sender.rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(letter.text if letter.link is None else f"{letter.text}\n\n{letter.link}\n")
        return mail
