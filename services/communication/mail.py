"""Mail: composed from a model's text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, parseaddr

from markdown_it import MarkdownIt

from shared.tools.smtp import CONTROL, message_id, not_configured

# Raw HTML stays text; an image would call its server when the mail is opened, with data in its address.
_MARKDOWN = MarkdownIt("js-default").disable("image")


@dataclass(frozen=True, slots=True)
class File:
    """A file attached to a mail."""

    name: str
    media_type: str
    content: bytes


def compose(
    sender: str, recipients: Sequence[str], subject: str, body: str, *, files: Sequence[File], key: str
) -> EmailMessage:
    """Compose a mail: the Markdown as plain text and as HTML. The same key always gives the same Message-ID.

    Raises ToolError `not_configured` when the sender is not an address.
    """
    address = parseaddr(sender)[1]
    if "@" not in address or CONTROL.search(sender):
        raise not_configured("WAGGLE_MAIL_FROM is not a mail address")
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = subject
    mail["Date"] = formatdate()
    mail["Message-ID"] = message_id(key, address.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body)
    mail.add_alternative(_MARKDOWN.render(body), subtype="html")
    for file in files:
        _attach(mail, file)
    return mail


def _attach(mail: EmailMessage, file: File) -> None:
    maintype, _, subtype = file.media_type.partition("/")
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", file.media_type) or maintype in ("message", "multipart"):
        maintype, subtype = "application", "octet-stream"
    mail.add_attachment(file.content, maintype=maintype, subtype=subtype, filename=CONTROL.sub("_", file.name))
