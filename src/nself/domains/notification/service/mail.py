"""A mail is composed and handed to a mail server: SMTP_HOST, else the local mailbox. The Message-ID is the same at each try."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import cast
from urllib.parse import urlencode

import msgspec

from nself.app import App
from nself.core.entrypoint import Attached, Attachment
from nself.core.errors import BillingError, NotFound
from nself.domains.notification import rules
from nself.domains.notification.model import Bounced, BrokenTemplate, Content, NoSuchTemplate, Outgoing, Undeliverable
from nself.domains.notification.service import mailbox, template

SECONDS = 30.0
"""Longest wait for an answer of the mail server."""
TYPE = "X-Nself-Type"


def send(app: App, one: Outgoing) -> str:
    """What the server answered. Raises Bounced, Undeliverable where nobody will ever take it, OSError where somebody may later."""
    message = compose(app, one)
    back = _envelope(app, one)
    with connected(app) as server:
        return _hand_over(server, back, one.recipient, message)


def _envelope(app: App, one: Outgoing) -> str:
    _, bounces = parseaddr(app.settings.text("MAIL_BOUNCE_ADDRESS"))
    return rules.verp(bounces, one.id) if "@" in bounces else parseaddr(app.settings.text("MAIL_FROM"))[1]


# ---- The server ----


@contextmanager
def connected(app: App, seconds: float = SECONDS) -> Generator[smtplib.SMTP]:
    """Logged in. Raises OSError: smtplib's are of that kind."""
    settings = app.settings
    host, port, security = settings.text("SMTP_HOST"), settings.integer("SMTP_PORT"), settings.text("SMTP_SECURITY")
    if not host:
        with smtplib.LMTP(str(mailbox.socket_path(app)), local_hostname="localhost", timeout=seconds) as local:
            yield local
        return
    with _connect(host, port, security, seconds) as server:
        if user := settings.text("SMTP_USER"):
            server.login(user, settings.text("SMTP_PASSWORD"))
        yield server


def _connect(host: str, port: int, security: str, seconds: float) -> smtplib.SMTP:
    if security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=seconds, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port, timeout=seconds)
    if security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _hand_over(server: smtplib.SMTP, back: str, to: str, message: EmailMessage) -> str:
    """One message to one recipient. What is refused before the recipient is named is our fault, and may be mended."""
    server.ehlo_or_helo_if_needed()
    options = ["BODY=8BITMIME"] if server.has_extn("8bitmime") else []
    if not f"{back}{to}".isascii():
        if not server.has_extn("smtputf8"):
            raise Undeliverable("the mail server takes ASCII addresses only")
        options.append("SMTPUTF8")
    code, said = server.mail(back, options)
    if code != 250:
        raise smtplib.SMTPSenderRefused(code, said, back)
    code, said = server.rcpt(to)
    _judge(code, said, recipient=True)
    try:
        code, said = server.data(message.as_bytes(policy=policy.SMTP))
    except smtplib.SMTPDataError as error:
        code, said = error.smtp_code, error.smtp_error
    _judge(code, said, recipient=False)
    return f"{code} {_text(said)}"


def _judge(code: int, said: bytes | str, *, recipient: bool) -> None:
    """Raises Bounced at 5xx, OSError at 4xx."""
    if 200 <= code < 300:
        return
    answer = f"{code} {_text(said)}"
    if code >= 500:
        raise Bounced(answer, recipient and rules.dead(code, _text(said)))
    raise OSError(answer)


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def told(error: OSError) -> str:
    """An error of a connection in words."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return str(error) or type(error).__name__


# ---- The message ----


def compose(app: App, one: Outgoing) -> EmailMessage:
    """Raises Undeliverable where it can never be made, OSError where it can later.

    The recipient must be one address; a line break in it or the subject is refused.
    """
    sender = app.settings.text("MAIL_FROM")
    _, address = parseaddr(sender)
    if "@" not in address:
        raise OSError("MAIL_FROM is no address: nself env set MAIL_FROM=billing@example.com")
    content = msgspec.json.decode(one.data, type=Content)
    subject, text, html = words(app, one.template, content)
    message = EmailMessage()
    try:
        message["From"], message["To"], message["Subject"] = sender, one.recipient, subject
    except ValueError as error:
        raise Undeliverable(str(error)) from error
    except IndexError as error:  # the parser reads on where the address ends
        raise Undeliverable(f"not one address: {one.recipient!r}") from error
    addresses = message["To"].addresses
    if len(addresses) != 1 or not (addresses[0].username and addresses[0].domain):
        raise Undeliverable(f"not one address: {one.recipient!r}")
    message["Message-ID"] = f"<{one.id}@{address.rpartition('@')[2]}>"
    message["Date"] = format_datetime(one.created_at)
    message["Auto-Submitted"] = "auto-generated"
    message[TYPE] = one.type
    if one.type in rules.REMINDERS and (url := app.settings.text("MAIL_UNSUBSCRIBE_URL")):
        message["List-Unsubscribe"] = f"<{url}?{urlencode({'message': one.id})}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    for reference in content.attach:
        _attach(app, message, reference)
    return message


def words(app: App, name: str | None, content: Content) -> tuple[str, str, str]:
    """Subject, text and HTML, filled into the template `name` if there is one. Raises Undeliverable."""
    if not name:
        return content.subject, content.text, ""
    try:
        filled = template.render(app, name, content.data)
    except (BrokenTemplate, NoSuchTemplate) as error:
        raise Undeliverable(str(error)) from error
    return filled.subject, filled.text, filled.html


def _attach(app: App, message: EmailMessage, reference: str) -> None:
    kind, _, id = reference.partition(":")
    row = next((row for row in app.registry.rows(Attachment) if row.kind == kind), None)
    if row is None:
        raise Undeliverable(f"attachment {reference}: nothing makes {kind!r}")
    try:
        found = cast("Callable[[App, str], Attached]", app.registry.resolve(row.use))(app, id)
    except NotFound as error:
        raise Undeliverable(f"attachment {reference}: {error.message}") from error
    except (BillingError, OSError) as error:
        raise OSError(f"waits for attachment {reference}: {error}") from error
    major, _, minor = found.mime.partition("/")
    message.add_attachment(found.content, maintype=major, subtype=minor, filename=found.name)
