"""Mail by templates, to real mail servers: what they are made of, how they go, what comes back."""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metering import app_on
from nself.app import App
from nself.config import find_project
from nself.core.entrypoint import Attached, Attachment, Row
from nself.core.errors import NotFound, Unavailable
from nself.domains.notification import rules
from nself.domains.notification.inputs import (
    ListMails,
    ListSuppressions,
    OneMail,
    PreviewTemplate,
    RemoveSuppression,
    RetryNotification,
    ShowConfig,
)
from nself.domains.notification.model import (
    BadReport,
    NoSuchMail,
    NoSuchTemplate,
    Note,
    NotSuppressed,
    ReportUnsigned,
    SuppressedRecipient,
)
from nself.domains.notification.service import bounce, mailbox, outbox, show, template
from nself.files import FileNotWritten
from nself.gateway import signature
from nself.registry import Registry
from nself.worker.mail import open_mailbox
from ports import free_port
from secure_mail import Secure, secured
from serving import Client, serving
from telling import Mailbox, Receiver, filled, send_all, settings, words

TO = "user@example.com"
SECRET = "whsec_provider"


@pytest.fixture
def told(tmp_path: Path, database: str, clock: Any, mailbox: Mailbox, receiver: Receiver) -> Iterator[App]:
    with app_on(tmp_path / "project", database, clock, **settings(mailbox, receiver)) as made:
        yield made


@pytest.fixture
def local(tmp_path: Path, database: str, clock: Any) -> Iterator[App]:
    """Without SMTP_HOST: into the local mailbox, which is open."""
    more = {"MAIL_ENABLED": "true", "MAIL_FROM": "billing@example.com", "MAIL_BOUNCE_ADDRESS": "bounces@example.com"}
    with app_on(tmp_path / "project", database, clock, MAIL_WEBHOOK_SECRET=SECRET, **more) as made, open_mailbox(made):
        yield made


def note(name: str = "invoice", to: str = TO, **more: Any) -> Note:
    return Note(
        kind=name, email=to, template=name, mail_only=True, id=more.pop("id", outbox.new_id()),
        data={**template.samples()[name], **more.pop("data", {})}, **more,
    )  # fmt: skip


def post(app: App, *notes: Note) -> list[str]:
    app.db.transact(lambda tx: outbox.post(app, tx, notes, app.clock()))
    return [one.id for one in notes]


def states(app: App) -> dict[str, str]:
    return {one.id: one.state for one in show.list_mails(app, ListMails(limit=1000))}


def life(app: App, id: str) -> list[str]:
    return [one.what for one in show.track(app, OneMail(message=id))]


# ---- Templates ----


@pytest.mark.parametrize("name", template.known())
def test_each_template_is_whole_and_asks_for_nothing_from_outside(name: str) -> None:
    found = filled(name, template.samples()[name])
    assert found.subject and "\n" not in found.subject and len(found.text) > 30
    for text in (found.subject, found.text, found.html):
        assert "{{" not in text and "{%" not in text and "None" not in text
    assert "googleapis" not in found.html and "<img" not in found.html and "<script" not in found.html


def test_samples_stand_for_every_template() -> None:
    assert tuple(sorted(template.samples())) == template.known()


def test_what_users_are_called_is_never_markup_nor_template() -> None:
    evil = "<script>x</script> {{ 7 * 7 }} \"' & </mj-text>"
    found = filled("quota_warning", template.samples()["quota_warning"] | {"user": evil, "metric": "a\r\nBcc: b@c.de"})
    assert "<script>" not in found.html and "&lt;script&gt;" in found.html and "49" not in found.html
    assert evil in found.text  # plain text is plain
    assert found.subject == "80 % of the a Bcc: b@c.de quota is used"
    button = filled("invoice", template.samples()["invoice"] | {"hosted_invoice_url": 'https://x/"onclick="y'})
    assert '"onclick="' not in button.html


@pytest.mark.parametrize(
    ("own", "told_as"),
    [
        ("{% block subject %}{{ nobody }}{% endblock %}\n{% block text %}{% endblock %}{% block body %}{% endblock %}",
         "invoice.mjml, line 1: 'nobody' is undefined"),
        ("{% block subject %}a{% endblock %}\n{% if %}", "invoice.mjml, line 2: Expected an expression, got 'end of statement block'"),
        ("{% block subject %}a{% endblock %}{% block text %}{% endblock %}\n{% block body %}\n<mj-text>a</mj-text>\n<mj-text>b\n"
         "{% endblock %}", "invoice.mjml, line 5: MJML: mismatched tag"),
        ("{% block subject %}a{% endblock %}{% block text %}{% endblock %}", "invoice.mjml: it has no block body"),
        ("{% block subject %}\n\n{{ ''.__class__.__mro__ }}{% endblock %}{% block text %}{% endblock %}"
         "{% block body %}{% endblock %}", "invoice.mjml, line 3: access to attribute '__class__' of 'str' object is unsafe."),
        ("{% block subject %}{{ currency | money(currency) }}{% endblock %}{% block text %}{% endblock %}"
         "{% block body %}{% endblock %}", "invoice.mjml, line 1: money needs minor units and a currency, not 'usd' and 'usd'"),
        ("\udcff", "invoice.mjml cannot be read: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)  # fmt: skip
def test_a_broken_override_is_told_by_line_and_the_shipped_one_is_sent(
    told: App, mailbox: Mailbox, own: str, told_as: str
) -> None:
    folder = told.project.mail_templates
    folder.mkdir(parents=True)
    (folder / "invoice.mjml").write_bytes(own.encode("utf-8", "surrogateescape"))
    shown = show.preview(told, PreviewTemplate(template="invoice"))
    assert shown.note == f"{told_as}; the shipped one is used"
    assert f"template {told_as}; the shipped one is used" in show.show_config(told, ShowConfig()).problems
    post(told, note())
    send_all(told)
    assert "Invoice INV-0042 of 29.00 USD" in mailbox.mails[0]["Subject"]


def test_an_override_is_used_with_its_own_layout(told: App, mailbox: Mailbox, tmp_path: Path) -> None:
    folder = told.project.mail_templates
    folder.mkdir(parents=True)
    (folder / "invoice.mjml").write_text(
        "{% block subject %}Rechnung {{ number }}{% endblock %}{% block text %}Über {{ total | money(currency) }}{% endblock %}"
        "{% block body %}<mj-text>Über {{ total | money(currency) }}</mj-text>{% endblock %}"
    )
    (folder / "layout.mjml").write_text(
        "<mjml><mj-body><mj-section><mj-column>{{ body }}<mj-text>Fuß</mj-text></mj-column></mj-section></mj-body></mjml>"
    )
    post(told, note())
    send_all(told)
    (mail,) = mailbox.mails
    html = mail.get_body(("html",))
    assert mail["Subject"] == "Rechnung INV-0042" and words(mail) == "Über 29.00 USD\n"
    assert html and "Fuß" in html.get_content() and "Über 29.00 USD" in html.get_content()
    done = show.preview(told, PreviewTemplate(template="invoice", to=str(tmp_path / "out.html")))
    assert done.note == "" and (tmp_path / "out.html").read_text() == html.get_content().replace("\r\n", "\n").rstrip(
        "\n"
    )
    with pytest.raises(FileNotWritten, match="it is a folder"):
        show.preview(told, PreviewTemplate(template="invoice", to=str(tmp_path)))
    assert sorted(show.show_config(told, ShowConfig()).overridden) == ["invoice.mjml", "layout.mjml"]


def test_data_that_fill_no_template_fail_the_mail_and_hold_up_no_other(told: App, mailbox: Mailbox) -> None:
    bad, good = post(told, note(data={"amount_due": "much"}), note())
    send_all(told)
    assert states(told) == {bad: "failed", good: "sent"} and len(mailbox.mails) == 1
    answer = show.status(told, OneMail(message=bad)).answer
    assert answer == "invoice.mjml, line 2: money needs minor units and a currency, not 'much' and 'usd'"
    with pytest.raises(NoSuchTemplate):
        show.preview(told, PreviewTemplate(template="../layout"))


# ---- Attachments ----


class Late(Unavailable):
    code, text = "late", "service pdf-generator does not run"


class Nothing(NotFound):
    code, text = "nothing", "No such invoice: {id}"


class WithPdf(Registry):
    """`invoice_pdf:in_1` is made from the third time on, `in_none` never."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Row] = [row for row in self.all if not isinstance(row, Attachment)]
        self.all.append(Attachment("invoice_pdf", "test:make"))
        self.asked = 0

    def resolve(self, reference: str) -> object:
        return self.make if reference == "test:make" else super().resolve(reference)

    def make(self, app: App, id: str) -> Attached:
        if id == "in_none":
            raise Nothing(id=id)
        self.asked += 1
        if self.asked < 3:
            raise Late()
        return Attached(f"{id}.pdf", "application/pdf", b"%PDF-1.7 \x00\xff")


def test_an_attachment_that_cannot_be_made_yet_delays_the_mail(
    tmp_path: Path, database: str, clock: Any, mailbox: Mailbox, receiver: Receiver
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    environ = {"DATABASE_URL": database, **settings(mailbox, receiver)}
    app = App(find_project(str(folder), {}, folder), WithPdf(), environ=environ, clock=clock)
    assert outbox.can_attach(app, "invoice_pdf") and not outbox.can_attach(app, "other")
    late, none, odd = post(
        app, note(attach=("invoice_pdf:in_1",)), note(attach=("invoice_pdf:in_none",)), note(attach=("other:1",))
    )
    for _ in range(2):
        send_all(app)
        assert states(app) == {late: "queued", none: "failed", odd: "failed"} and mailbox.mails == []
        status = show.status(app, OneMail(message=late))
        assert status.answer == "waits for attachment invoice_pdf:in_1: service pdf-generator does not run"
        assert status.attachments == ["invoice_pdf:in_1"]
        clock.now += timedelta(minutes=1)
    send_all(app)
    (mail,) = mailbox.mails
    (file,) = mail.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == ("in_1.pdf", "application/pdf")
    assert file.get_content() == b"%PDF-1.7 \x00\xff" and words(mail)
    assert life(app, late) == ["queued", "attempt", "delayed", "attempt", "delayed", "attempt", "sent"]
    assert show.status(app, OneMail(message=none)).answer == "attachment invoice_pdf:in_none: No such invoice: in_none"
    app.close()


# ---- Servers ----


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    with secured(tmp_path_factory.mktemp("tls")) as made:
        yield made


def way(secure: Secure, **more: str) -> dict[str, str]:
    return {
        "MAIL_ENABLED": "true", "MAIL_FROM": "Billing <billing@example.com>", "SMTP_HOST": "localhost", "SMTP_USER": "app",
        "SMTP_PASSWORD": "right", **more,
    }  # fmt: skip


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_goes_over_tls_with_a_login(
    tmp_path: Path, database: str, secure: Secure, security: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
    port = str(secure.ports[security])
    with app_on(tmp_path / "p", database, **way(secure, SMTP_SECURITY=security, SMTP_PORT=port)) as app:
        (id,) = post(app, note())
        send_all(app)
        assert states(app) == {id: "sent"}, show.status(app, OneMail(message=id)).answer
        assert secure.taken[-1] == ("app", True, "billing@example.com", [TO])
        shown = show.show_config(app, ShowConfig())
        assert (shown.connection, shown.password, shown.login) == ("ok", "***", "ap***")
        assert shown.goes_to == f"localhost:{port}" and not any("localhost" in one for one in shown.problems)


@pytest.mark.parametrize(
    ("more", "trusted", "answer"),
    [
        ({"SMTP_PASSWORD": "wrong"}, True, "535 5.7.8 Authentication credentials invalid"),
        ({}, False, "certificate verify failed"),
        ({"SMTP_SECURITY": "tls"}, True, "WRONG_VERSION_NUMBER|wrong version number|record layer"),
        ({"SMTP_SECURITY": "none"}, True, "AUTH extension not supported|530"),
        ({"SMTP_PORT": str(free_port())}, True, "Connection refused"),
    ],
)
def test_what_is_set_wrong_delays_the_mail_and_is_told(
    tmp_path: Path, database: str, secure: Secure, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], trusted: bool, answer: str
) -> None:  # fmt: skip
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
    given = {"SMTP_SECURITY": "starttls", "SMTP_PORT": str(secure.ports["starttls"])} | more
    with app_on(tmp_path / "p", database, **way(secure, **given)) as app:
        (id,) = post(app, note())
        before = len(secure.taken)
        outbox.send_due(app, "mail")
        assert (states(app), len(secure.taken)) == ({id: "queued"}, before)
        found = show.status(app, OneMail(message=id)).answer or ""
        assert any(part in found for part in answer.split("|")), found
        problems = show.show_config(app, ShowConfig()).problems
        assert any(one.startswith("localhost does not take mail (") for one in problems)
        assert "right" not in str(problems)


def test_a_server_without_starttls_gets_neither_mail_nor_password(
    tmp_path: Path, database: str, mailbox: Mailbox, receiver: Receiver
) -> None:
    given = settings(mailbox, receiver) | {"SMTP_SECURITY": "starttls", "SMTP_USER": "app", "SMTP_PASSWORD": "right"}
    with app_on(tmp_path / "p", database, **given) as app:
        (id,) = post(app, note())
        outbox.send_due(app, "mail")
        assert "STARTTLS" in (show.status(app, OneMail(message=id)).answer or "") and mailbox.mails == []


@pytest.mark.parametrize(
    ("stage", "answer", "state", "suppressed"),
    [
        ("MAIL", "550 5.7.1 who are you", "queued", False),
        ("MAIL", "451 4.3.0 later", "queued", False),
        ("RCPT", "550 5.1.1 no such user", "bounced", True),
        ("RCPT", "550 no such user", "bounced", True),
        ("RCPT", "550 5.7.1 unwelcome", "bounced", False),
        ("RCPT", "552 5.2.2 mailbox full", "bounced", False),
        ("RCPT", "450 4.2.1 greylisted", "queued", False),
        ("DATA", "554 5.6.0 content", "bounced", False),
        ("DATA", "421 4.7.0 too many", "queued", False),
    ],
)
def test_a_4xx_is_tried_again_and_a_5xx_is_a_bounce(
    told: App, mailbox: Mailbox, clock: Any, stage: str, answer: str, state: str, suppressed: bool
) -> None:
    mailbox.answers[stage] = answer
    first, other = post(told, note(), note(to="other@example.com"))
    mailbox.refused = {TO}
    send_all(told)
    assert states(told) == {first: state, other: "sent" if stage == "RCPT" else state}
    assert show.status(told, OneMail(message=first)).answer == answer
    mailbox.answers.clear()
    clock.now += timedelta(hours=1)
    (again,) = post(told, note())
    send_all(told)
    expected = "suppressed" if suppressed else "sent"
    assert states(told) == {first: "sent" if state == "queued" else state, other: states(told)[other], again: expected}


def test_an_address_of_another_alphabet_goes_where_the_server_takes_it(told: App, mailbox: Mailbox) -> None:
    (id,) = post(told, note(to="δοκιμή@example.com"))
    send_all(told)
    assert states(told) == {id: "sent"} and mailbox.mails[0]["To"] == "δοκιμή@example.com"


def test_what_is_refused_is_mailed_no_more_until_that_is_taken_back(told: App, mailbox: Mailbox) -> None:
    mailbox.answers["RCPT"] = "550 5.1.1 no such user"
    first, second = post(told, note(), note("payment_failed", to="User@Example.com"))
    send_all(told)
    assert states(told) == {first: "bounced", second: "suppressed"} or states(told) == {
        first: "suppressed",
        second: "bounced",
    }
    mailbox.answers.clear()
    (one,) = bounce.list_suppressions(told, ListSuppressions())
    assert (one.address, one.reason, one.detail) == (TO, "bounced", "550 5.1.1 no such user")
    for id in (first, second):
        assert show.status(told, OneMail(message=id)).suppressed == "bounced"
        with pytest.raises(SuppressedRecipient, match="bounced and is mailed no more"):
            outbox.resend(told, RetryNotification(id=id))
    bounce.remove_suppression(told, RemoveSuppression(address="USER@example.com"))
    outbox.resend(told, RetryNotification(id=first))
    send_all(told)
    assert states(told)[first] == "sent" and len(mailbox.mails) == 1
    with pytest.raises(NotSuppressed):
        bounce.remove_suppression(told, RemoveSuppression(address=TO))


def test_who_unsubscribes_gets_no_reminders_but_invoices(
    tmp_path: Path, database: str, clock: Any, mailbox: Mailbox, receiver: Receiver
) -> None:
    url = "https://billing.example.com/webhooks/mail/unsubscribe"
    with app_on(tmp_path / "project", database, clock, MAIL_UNSUBSCRIBE_URL=url, **settings(mailbox, receiver)) as told:
        reminder, _ = post(told, note("payment_failed"), note())
        send_all(told)
        by_type = {mail["X-Nself-Type"]: mail for mail in mailbox.mails}
        assert by_type["payment_failed"]["List-Unsubscribe"] == f"<{url}?message={reminder}>"
        assert by_type["payment_failed"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert by_type["invoice"]["List-Unsubscribe"] is None
        bounce.unsubscribe(told, reminder)
        bounce.unsubscribe(told, reminder)
        reminder2, invoice2 = post(told, note("payment_failed"), note())
        send_all(told)
        assert (states(told)[reminder2], states(told)[invoice2]) == ("suppressed", "sent")
        with pytest.raises(NoSuchMail):
            bounce.unsubscribe(told, "msg_none")


# ---- Many at once ----


def test_two_senders_keep_one_limit_a_minute_and_send_each_mail_once(
    tmp_path: Path, database: str, clock: Any, mailbox: Mailbox, receiver: Receiver
) -> None:
    given = settings(mailbox, receiver) | {"MAIL_RATE_LIMIT": "7"}
    with (
        app_on(tmp_path / "p", database, clock, **given) as one,
        app_on(tmp_path / "p", database, clock, **given) as two,
    ):
        ids = post(one, *(note() for _ in range(30)))
        for minute in range(1, 6):
            start = threading.Barrier(2)

            def send(app: App, start: threading.Barrier = start) -> None:
                start.wait()
                for _ in range(4):
                    outbox.send_due(app, "mail")

            with ThreadPoolExecutor(2) as pool:
                list(pool.map(send, (one, two)))
            assert len(mailbox.mails) == min(30, 7 * minute)
            clock.now += timedelta(seconds=61)
        found = [str(mail["Message-ID"]) for mail in mailbox.mails]
        assert sorted(found) == sorted(f"<{id}@example.com>" for id in ids)
        assert set(states(one).values()) == {"sent"}


def test_a_try_without_an_end_stands_in_the_life_of_a_mail(told: App, mailbox: Mailbox, clock: Any) -> None:
    (id,) = post(told, note())
    real = outbox.store.finish
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox.store, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            outbox.send_due(told, "mail")
    assert outbox.store.finish is real and life(told, id) == ["queued", "attempt"] and states(told) == {id: "queued"}
    clock.now += outbox.LEASE
    send_all(told)
    assert life(told, id) == ["queued", "attempt", "attempt", "sent"]
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 1 and len(mailbox.mails) == 2


# ---- The local mailbox, and what comes back ----


def dsn(action: str, status: str, said: str) -> bytes:
    """As mail servers write them (RFC 3464)."""
    return f"""From: MAILER-DAEMON@mx.example.com
To: bounces@example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

It could not be delivered.

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
Arrival-Date: Tue, 10 Feb 2026 12:00:00 +0000

Final-Recipient: rfc822; {TO}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {said}

--B
Content-Type: text/rfc822-headers

From: billing@example.com
--B--
""".replace("\n", "\r\n").encode()


def returned(app: App, id: str, message: bytes) -> None:
    with smtplib.LMTP(str(mailbox.socket_path(app))) as server:
        server.sendmail("", [f"bounces+{id}@example.com"], message)


def test_without_a_server_mail_stays_on_this_machine(local: App) -> None:
    (id,) = post(local, note())
    send_all(local)
    assert states(local) == {id: "sent"} and life(local, id) == ["queued", "attempt", "sent"]
    status = show.status(local, OneMail(message=id))
    assert (status.stored, status.answer) == (f".nself/mail/{id}.eml", "250 2.0.0 kept")
    path = local.project.root / str(status.stored)
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0
    assert b"Invoice INV-0042 of 29.00 USD" in path.read_bytes()
    shown = show.show(local, OneMail(message=f"<{id}@example.com>"))
    assert shown.stored == status.stored and "your invoice INV-0042 is 29.00 USD" in shown.plain()
    found = show.show_config(local, ShowConfig())
    assert "nothing leaves this machine" in found.goes_to and found.connection == "ok"
    assert found.bounces_to == "bounces+msg_…@example.com" and found.webhook_secret == "whsec_***"


def test_the_mailbox_keeps_the_newest(local: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "MAX_FILES", 3)
    for _ in range(6):
        (last,) = post(local, note())
        send_all(local)
    kept = list(local.project.mailbox.iterdir())
    assert len(kept) == 3 and mailbox.stored(local, last)
    monkeypatch.setattr(mailbox, "MAX_BYTES", 1)
    (last,) = post(local, note())
    send_all(local)
    assert [path.stem for path in local.project.mailbox.iterdir()] == [last]


def test_mail_waits_while_the_mailbox_is_closed(tmp_path: Path, database: str, clock: Any) -> None:
    with app_on(tmp_path / "p", database, clock, MAIL_ENABLED="true", MAIL_FROM="billing@example.com") as app:
        (id,) = post(app, note())
        outbox.send_due(app, "mail")
        assert states(app) == {id: "queued"}
        assert show.status(app, OneMail(message=id)).note == "service mail, which sends, does not run: nself start mail"
        clock.now += timedelta(minutes=1)
        with open_mailbox(app):
            send_all(app)
        assert states(app) == {id: "sent"}


def test_a_returned_mail_is_a_bounce_once(local: App) -> None:
    (id,) = post(local, note())
    send_all(local)
    for _ in range(2):
        returned(local, id, dsn("failed", "5.1.1", "550 5.1.1 no such user"))
    assert states(local) == {id: "bounced"} and life(local, id) == ["queued", "attempt", "sent", "bounced"]
    assert show.status(local, OneMail(message=id)).answer == "550 5.1.1 no such user"
    assert [one.address for one in bounce.list_suppressions(local, ListSuppressions())] == [TO]


@pytest.mark.parametrize(
    ("message", "state", "last"),
    [
        (dsn("failed", "5.2.2", "552 5.2.2 full"), "bounced", "bounced"),
        (dsn("failed", "4.4.7", "expired"), "bounced", "bounced"),
        (dsn("delayed", "4.4.1", "no answer"), "sent", "delayed"),
        (dsn("delivered", "2.0.0", "ok"), "sent", "delivered"),
        (dsn("dancing", "5.1.1", "what"), "sent", "sent"),
    ],
)
def test_what_says_nothing_of_the_address_suppresses_nobody(local: App, message: bytes, state: str, last: str) -> None:
    (id,) = post(local, note())
    send_all(local)
    returned(local, id, message)
    assert states(local) == {id: state} and life(local, id)[-1] == last
    assert bounce.list_suppressions(local, ListSuppressions()) == []


def test_an_answer_of_a_person_and_a_report_of_nothing_are_kept_only(local: App) -> None:
    (id,) = post(local, note())
    send_all(local)
    away = EmailMessage()
    away["From"], away["Subject"] = TO, "I am on holiday"
    away.set_content("550 5.1.1 until Monday")
    returned(local, id, away.as_bytes())
    returned(local, "msg_none", dsn("failed", "5.1.1", "550 5.1.1 no such user"))
    with smtplib.LMTP(str(mailbox.socket_path(local))) as server:
        server.sendmail("", ["bounces@example.com"], b"\xff\x00 no mail at all\r\n")
    assert states(local) == {id: "sent"} and len(list(local.project.mailbox.glob("*.eml"))) == 4


# ---- A provider's reports ----


def signed(app: App, body: bytes, secret: str = SECRET) -> str:
    return signature.sign(body, secret, app.clock())


def test_a_provider_tells_of_bounces_and_complaints(local: App) -> None:
    first, second, third = post(local, note(), note(to="two@example.com"), note(to="three@example.com"))
    send_all(local)
    reports = [
        {
            "event": "bounced",
            "message": first,
            "recipient": TO.upper(),
            "answer": "550 5.1.1 \0gone",
            "permanent": True,
        },
        {"event": "complained", "message": f"<{second}@example.com>"},
        {"event": "bounced", "message": third, "recipient": "stranger@example.com", "permanent": True},
        {"event": "delivered", "message": "msg_none\0"},
    ]
    body = msgspec.json.encode(reports)
    taken = bounce.receive(local, body, signed(local, body))
    assert (taken.taken, taken.unknown) == (2, 2)
    assert states(local) == {first: "bounced", second: "sent", third: "sent"}
    suppressed = {one.address: one.reason for one in bounce.list_suppressions(local, ListSuppressions())}
    assert suppressed == {TO: "bounced", "two@example.com": "complained"}


def test_a_report_that_is_not_signed_or_no_report_is_refused(local: App) -> None:
    body = b'{"event": "bounced", "message": "msg_1"}'
    for header in (None, "", signed(local, body, "whsec_other"), signed(local, body + b" ")):
        with pytest.raises(ReportUnsigned):
            bounce.receive(local, body, header)
    for wrong in (
        b"",
        b"{",
        b'{"event": "eaten", "message": "x"}',
        b'{"event": "bounced"}',
        b"[1]",
        b"\xff",
        b"[" * 10_000,
    ):
        with pytest.raises(BadReport):
            bounce.receive(local, wrong, signed(local, wrong))


def test_reports_and_unsubscribing_over_http(tmp_path: Path, database: str) -> None:
    given = {"MAIL_ENABLED": "true", "MAIL_FROM": "billing@example.com", "MAIL_WEBHOOK_SECRET": SECRET}
    with app_on(tmp_path / "p", database, **given) as app, serving(tmp_path / "p", database, **given) as service:
        first, second = post(app, note(), note("payment_failed", to="two@example.com"))
        body = msgspec.json.encode({"event": "bounced", "message": first, "answer": "550 gone", "permanent": True})
        with Client(service.port, None) as client:
            refused = client.post("/webhooks/mail", body)
            assert (refused.status, refused.code) == (400, "mail_signature_verification_failed")
            answer = client.post("/webhooks/mail", body, Nself_Signature=signed(app, body))
            assert (answer.status, answer.json) == (200, {"taken": 1, "unknown": 0})
            path = f"/webhooks/mail/unsubscribe?message={second}"
            assert b"<button>" in client.get(path).body
            assert len(bounce.list_suppressions(app, ListSuppressions())) == 1  # whoever looks changes nothing
            assert client.post(path, b"List-Unsubscribe=One-Click").status == 200
            assert client.post("/webhooks/mail/unsubscribe?message=msg_none").status == 404
            assert b"<script>" not in client.get("/webhooks/mail/unsubscribe?message=%3Cscript%3E").body
        found = {one.address: one.reason for one in bounce.list_suppressions(app, ListSuppressions())}
        assert found == {TO: "bounced", "two@example.com": "unsubscribed"}


# ---- Pure ----


def test_lists_tell_types_and_states(told: App, mailbox: Mailbox) -> None:
    ids = post(
        told,
        note(),
        note("receipt"),
        Note(kind="invoice.sent", email=TO, subject="s", text="t", data={}, mail_only=True),
    )
    send_all(told)
    found = show.list_mails(told, ListMails(type="invoice"))
    assert [(one.type, one.state) for one in found] == [("invoice.sent", "sent"), ("invoice", "sent")] or len(
        found
    ) == 2
    assert [one.id for one in show.list_mails(told, ListMails(type="receipt", state="sent", to=TO.upper()))] == [ids[1]]
    assert show.list_mails(told, ListMails(type="nonsense")) == show.list_mails(told, ListMails(state="failed")) == []
    for use in (show.status, show.track, show.show):
        with pytest.raises(NoSuchMail):
            use(told, OneMail(message="msg_none"))


def test_an_address_that_comes_back_names_its_mail() -> None:
    assert rules.verp("bounces@example.com", "msg_1a") == "bounces+msg_1a@example.com"
    assert rules.returned("Bounces+MSG_1a@Example.com") == "msg_1a"
    assert rules.returned("bounces@example.com") is rules.returned("a+msg_;drop@example.com") is None
    assert rules.sent_as(" <msg_1@example.com> ") == "msg_1" and rules.sent_as("<other@x>") == "<other@x>"


def test_settings_that_are_missing_are_told_with_what_helps(tmp_path: Path, database: str) -> None:
    with app_on(tmp_path / "p", database) as app:
        found = show.show_config(app, ShowConfig())
        assert not found.enabled and found.sender == "not set"
        for command in ("env set MAIL_ENABLED=true", "env set MAIL_FROM=billing@example.com", "nself start mail"):
            assert any(command in one for one in found.problems)
    with app_on(
        tmp_path / "p", database, SMTP_HOST="192.0.2.1", SMTP_SECURITY="none", SMTP_PORT="1", MAIL_BOUNCE_ADDRESS="x"
    ) as app:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(show, "PROBE_SECONDS", 0.2)
            found = show.show_config(app, ShowConfig())
        assert any("MAIL_BOUNCE_ADDRESS is no address" in one for one in found.problems)
        assert any("in the clear" in one for one in found.problems) and found.connection != "ok"
