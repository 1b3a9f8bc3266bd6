"""Mail over SMTP. The Message-ID is the same at each try."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

import msgspec

from nself.app import App
from nself.domains.notification.model import Content, Outgoing, Undeliverable

SECONDS = 30.0
"""Longest wait for an answer of the mail server."""


def send(app: App, one: Outgoing) -> None:
    """Raises Undeliverable where the server refuses it for good, OSError where it may take it later."""
    message = compose(app, one)
    settings = app.settings
    host, port, security = settings.text("SMTP_HOST"), settings.integer("SMTP_PORT"), settings.text("SMTP_SECURITY")
    try:
        with _connect(host, port, security) as server:
            if user := settings.text("SMTP_USER"):
                server.login(user, settings.text("SMTP_PASSWORD"))
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise _told(code, text) from error
    except smtplib.SMTPAuthenticationError:
        raise  # a setting is wrong, not the mail
    except smtplib.SMTPResponseException as error:
        raise _told(error.smtp_code, error.smtp_error) from error


def _connect(host: str, port: int, security: str) -> smtplib.SMTP:
    if security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port, timeout=SECONDS)
    if security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _told(code: int, text: bytes | str) -> Exception:
    said = f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
    return Undeliverable(said) if code >= 500 else OSError(said)


def compose(app: App, one: Outgoing) -> EmailMessage:
    """Raises Undeliverable where the recipient is not one address; a line break in it or the subject is refused, too."""
    sender = app.settings.text("MAIL_FROM")
    _, address = parseaddr(sender)
    if "@" not in address:
        raise OSError("MAIL_FROM is no address: nself env set MAIL_FROM=billing@example.com")
    content = msgspec.json.decode(one.data, type=Content)
    message = EmailMessage()
    try:
        message["From"], message["To"], message["Subject"] = sender, one.recipient, content.subject
    except ValueError as error:
        raise Undeliverable(str(error)) from error
    addresses = message["To"].addresses
    if len(addresses) != 1 or not (addresses[0].username and addresses[0].domain):
        raise Undeliverable(f"not one address: {one.recipient!r}")
    message["Message-ID"] = f"<{one.id}@{address.rpartition('@')[2]}>"
    message["Date"] = format_datetime(one.created_at)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(content.text)
    return message
