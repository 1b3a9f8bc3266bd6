"""`python -m nself.worker.mail`: the mail service sends mail, and takes what is mailed to the local mailbox or comes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP as Server
from aiosmtpd.smtp import Envelope, Session

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.notification.service import mailbox, outbox
from nself.domains.uptime.service.heart import Heart
from nself.process import probe
from nself.process.paths import log_folder, private, socket_folder
from nself.registry import Registry
from nself.worker.loop import Loop

IDLE_SECONDS = 0.5
LATER = "451 4.3.0 it cannot be kept now"


class Mailbox:
    """What aiosmtpd does with a message; the disk and the database are asked in a thread."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        try:
            await asyncio.to_thread(mailbox.take, self.app, raw, list(envelope.rcpt_tos))
        except (BillingError, OSError) as error:
            log.warning("mail_not_stored", error=str(error))
            return LATER
        except Exception:  # aiosmtpd would refuse the message for good
            log.failure("mail_not_stored")
            return LATER
        return "250 2.0.0 kept"


@contextmanager
def open_mailbox(app: App) -> Generator[None]:
    """It takes messages, on a loop in a thread of its own, until the end."""
    private(socket_folder(app.project))
    path = mailbox.socket_path(app)
    loop = asyncio.new_event_loop()

    def protocol() -> LMTP:
        return LMTP(
            Mailbox(app), data_size_limit=mailbox.MAX_MESSAGE, enable_SMTPUTF8=True, hostname="localhost", loop=loop
        )

    server = loop.run_until_complete(loop.create_unix_server(protocol, path=str(path)))
    thread = threading.Thread(target=loop.run_forever, name="mailbox", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        with suppress(FileNotFoundError):
            path.unlink()


def main() -> None:
    app = App.find(None, Registry())
    log.configure("mail", app.settings.text("BILLING_LOG_LEVEL"), log_folder(app.project, app.settings))
    probe.listen(app.project, "mail")
    log.info(
        "service_started", mode=app.settings.text("STRIPE_MODE"), host=app.settings.text("SMTP_HOST") or "local mailbox"
    )
    with open_mailbox(app), Heart(app, "mail"):
        Loop(IDLE_SECONDS).run(partial(outbox.send_due, app, "mail"))
    app.close()
    log.info("service_stopped")


if __name__ == "__main__":
    main()
