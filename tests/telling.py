"""A real mail server and a real receiver of our own webhooks. Conftests import the fixtures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller

from nself.app import App
from nself.domains.notification import rules
from nself.domains.notification.model import Rendered
from nself.domains.notification.service import outbox, template
from ports import free_port

SECRET, OLD = "whsec_new", "whsec_old"


def send_all(app: App) -> None:
    """Mail, then webhooks of our own."""
    while outbox.send_due(app, "mail") + outbox.send_due(app, "webhook"):
        pass


def words(mail: EmailMessage) -> str:
    """Its plain text."""
    part = mail.get_body(("plain",))
    assert part
    return str(part.get_content()).replace("\r\n", "\n")


def filled(name: str, data: dict[str, Any]) -> Rendered:
    """A shipped template."""
    values = {**dict.fromkeys(rules.OPTIONAL), **data, "sender": "Example"}
    return template._fill(template._shipped(name), template._shipped(template.LAYOUT), values)


class Mailbox:
    """What a mail server took. `answer` is what it says to the next recipients, `answers` to commands by their names, RCPT to
    those in `refused` where there are any.
    """

    def __init__(self) -> None:
        self.answer, self.port = "250 OK", free_port()
        self.answers, self.refused = dict[str, str](), set[str]()
        self.mails: list[EmailMessage] = []

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        answer = self.answers.get("RCPT", self.answer) if not self.refused or address in self.refused else self.answer
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if "DATA" in self.answers:
            return self.answers["DATA"]
        self.mails.append(cast(EmailMessage, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox()
    controller = Controller(made, hostname="127.0.0.1", port=made.port, enable_SMTPUTF8=True)
    controller.start()
    yield made
    controller.stop()


class Receiver(ThreadingHTTPServer):
    """Notes bodies with their headers; answers with `status`."""

    def __init__(self) -> None:
        self.status, self.taken = 200, list[tuple[bytes, str]]()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver = cast(Receiver, self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.taken.append((body, self.headers["Nself-Signature"]))
        self.send_response(receiver.status)
        self.send_header("Content-Length", "0")
        if receiver.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def settings(mailbox: Mailbox, receiver: Receiver) -> dict[str, str]:
    return {
        "MAIL_ENABLED": "true",
        "MAIL_FROM": "Billing <billing@example.com>",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mailbox.port),
        "SMTP_SECURITY": "none",
        "NOTIFY_WEBHOOK_URL": f"http://127.0.0.1:{receiver.server_address[1]}/hook",
        "NOTIFY_WEBHOOK_SECRET": f"{SECRET},{OLD}",
    }
