"""Mail sink: every mail becomes a file, the same mail twice the same file. `python -m infra.embedded.mail`."""

import argparse
import asyncio
import hashlib
import os
import signal
from email.parser import BytesHeaderParser
from pathlib import Path

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """Write received mails into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802 -- aiosmtpd calls it so
        """Store one mail, completely or not at all."""
        content = bytes(envelope.original_content or b"")
        message_id = str(BytesHeaderParser().parsebytes(content)["Message-ID"] or "")
        name = hashlib.sha256(message_id.encode() or content).hexdigest()[:24]
        draft = self._folder / f".{name}"
        draft.write_bytes(content)
        draft.rename(self._folder / f"{name}.eml")
        return "250 kept"


async def serve(port: int, folder: Path) -> None:
    """Accept mail on loopback until stopped."""
    loop = asyncio.get_running_loop()
    controller = UnthreadedController(Mailbox(folder), hostname="127.0.0.1", port=port, loop=loop)
    controller.server = await controller._create_server()  # noqa: SLF001 -- begin() may not be called inside a running loop
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    controller.server.close()


def main() -> None:
    """Run the sink."""
    parser = argparse.ArgumentParser(prog="infra.embedded.mail", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    chosen = parser.parse_args()
    os.umask(0o077)
    asyncio.run(serve(chosen.port, chosen.folder))


if __name__ == "__main__":
    main()
