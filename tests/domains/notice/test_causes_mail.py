"""Root causes of issue 4.5 are told apart: how mail is set up, whom it does not reach, who takes no more of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from metering import app_on
from nself.app import App
from nself.diagnosis import Look
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.domains.notice.service import causes as addresses
from nself.domains.notification.model import Note
from nself.domains.notification.service import causes as sending
from nself.domains.notification.service import outbox
from telling import Mailbox, Receiver, send_all, settings

TO = "user@example.com"


@pytest.fixture
def app(tmp_path: Path, database: str, clock: Any, mailbox: Mailbox, receiver: Receiver) -> Iterator[App]:
    with app_on(tmp_path / "project", database, clock, **settings(mailbox, receiver)) as made:
        customer(made, TO)
        yield made


def customer(app: App, email: str) -> None:
    snapshot = {
        "object": "customer", "id": "cus_1", "livemode": False, "created": 1_700_000_000, "email": email, "balance": 0, "name": "Jane",
    }  # fmt: skip
    picture = Picture(snapshot, mirror.draw(app), "webhook evt_1")
    app.db.transact(lambda tx: mirror.accept(app, tx, picture))


def mailed(app: App, to: str = TO) -> None:
    one = Note(kind="test", email=to, data={}, subject="Hello", text="Hello", mail_only=True)
    app.db.transact(lambda tx: outbox.post(app, tx, [one], app.clock()))
    send_all(app)


def found(app: App) -> set[str]:
    look = Look(app)
    return {cause.id for cause in (*sending.CAUSES, *addresses.CAUSES) if cause.detect(look)}


def test_mail_that_arrives_is_no_finding(app: App) -> None:
    mailed(app)
    assert found(app) == set()


def test_an_address_that_is_none_until_it_is_another(app: App, clock: Any) -> None:
    customer(app, "user@")
    mailed(app, "user@")
    assert found(app) == {"4.5.2"}
    clock.now += timedelta(days=2)
    assert found(app) == set()
    mailed(app, "user@")
    assert found(app) == {"4.5.2"}
    customer(app, TO)
    assert found(app) == set()


@pytest.mark.parametrize("answer, cause", [("550 5.1.1 No such user", "4.5.3"), ("552 5.2.2 Mailbox full", "4.5.3")])
def test_an_address_that_takes_no_mail(app: App, mailbox: Mailbox, answer: str, cause: str) -> None:
    mailbox.answer = answer
    mailed(app)
    assert found(app) == {cause}
    customer(app, "valid@example.com")
    assert found(app) == set()


def test_what_arrived_since_counts(app: App, mailbox: Mailbox, clock: Any) -> None:
    mailbox.answer = "552 5.2.2 Mailbox full"
    mailed(app)
    mailbox.answer = "250 OK"
    clock.now += timedelta(minutes=1)
    mailed(app)
    assert found(app) == set()


@pytest.mark.parametrize(
    "answer, cause",
    [
        ("450 4.7.1 Rate limit exceeded", {"4.5.4"}),
        ("421 4.7.0 Too many messages", {"4.5.4"}),
        ("450 4.2.0 Greylisted, try again in five minutes", set()),
        ("451 4.3.0 Temporary failure", set()),
    ],
)
def test_a_server_that_puts_mail_off(app: App, mailbox: Mailbox, answer: str, cause: set[str]) -> None:
    mailbox.answer = answer
    mailed(app)
    assert found(app) == cause


def test_more_is_mailed_than_our_own_limit_allows(app: App, clock: Any) -> None:
    with app_on(
        app.project.root, app.environ["DATABASE_URL"], clock, **{**app.environ, "MAIL_RATE_LIMIT": "1"}
    ) as slow:
        mailed(slow)
        assert found(slow) == set()
        mailed(slow)
        clock.now += timedelta(seconds=59)
        assert found(slow) == set()
        mailed(slow)
        clock.now += timedelta(seconds=59)
        outbox.send_due(slow, "mail")
        clock.now += timedelta(seconds=2)
        outbox.send_due(slow, "mail")
        clock.now += timedelta(seconds=1)
        assert found(slow) == {"4.5.4"}


def test_mail_that_was_switched_off_is_told_while_it_is_missed(app: App, clock: Any) -> None:
    environ = {**app.environ, "MAIL_ENABLED": "false"}
    with app_on(app.project.root, app.environ["DATABASE_URL"], clock, **environ) as off:
        assert found(off) == set()
        mailed(app)
        assert found(off) == {"4.5.1"}
        clock.now += timedelta(days=8)
        assert found(off) == set()


def test_a_sender_that_is_no_address(app: App, clock: Any) -> None:
    environ = {**app.environ, "MAIL_FROM": "Billing"}
    with app_on(app.project.root, app.environ["DATABASE_URL"], clock, **environ) as nobody:
        assert found(nobody) == {"4.5.1"}


def test_a_server_that_lets_nobody_in(app: App, mailbox: Mailbox) -> None:
    mailbox.answers["MAIL"] = "530 5.7.0 Authentication required"
    mailed(app)
    assert found(app) == {"4.5.1"}
