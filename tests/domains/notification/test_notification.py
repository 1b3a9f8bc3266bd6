"""Thresholds told by mail and webhook: once each, to a real SMTP server and a real receiver, retried until they arrive."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from killing import forked
from metering import METRICS, app_on, fresh
from nself.app import App
from nself.domains.customer import service as customer
from nself.domains.notification import rules
from nself.domains.notification.inputs import ListNotifications, RetryNotification
from nself.domains.notification.model import NoSuchNotification, Note, Notification
from nself.domains.notification.service import outbox
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.model import Ask
from nself.domains.quota.service import limits, show
from nself.domains.quota.service.decide import decide, new_id
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import record
from nself.gateway import signature
from ports import free_port
from serving import until
from telling import OLD, SECRET, Mailbox, Receiver, send_all, settings, words


@pytest.fixture
def told(tmp_path: Path, database: str, clock: Any, mailbox: Mailbox, receiver: Receiver) -> Iterator[App]:
    """An app that tells both ways."""
    with app_on(tmp_path / "project", database, clock, METRICS, **settings(mailbox, receiver)) as made:
        yield made


def limited(app: App, most: int, email: str | None = "user@example.com", mode: str = "hard") -> str:
    user = fresh()
    customer.create_users(app, {user: email})
    limits.set_quota(app, SetQuota(user=user, metric="calls", limit=most, mode=mode))  # type: ignore[arg-type]
    return user


def use(app: App, user: str, value: int) -> None:
    assert not record.ingest(app, [UsageEvent(user=user, metric="calls", value=value)], "test").refused
    show.sweep(app)


def listed(app: App, **given: Any) -> list[Notification]:
    return outbox.list_notifications(app, ListNotifications(**given))


def test_each_threshold_is_told_once_each_way(told: App, mailbox: Mailbox, receiver: Receiver, clock: Any) -> None:
    user = limited(told, 100)
    for value, mails in ((49, 0), (1, 1), (10, 1), (20, 2), (19, 2), (1, 3), (50, 3)):
        use(told, user, value)
        use(told, user, 0)
        send_all(told)
        assert len(mailbox.mails) == len(receiver.taken) == mails
    assert {one.state for one in listed(told)} == {"sent"} and len(listed(told)) == 6
    half, most, all_of_it = mailbox.mails
    assert half["Subject"] == "50 % of the calls quota is used"
    assert half["To"] == "user@example.com" and half["From"] == "Billing <billing@example.com>"
    assert f"{user} has used 50 of 100 calls" in words(half)
    assert "refused" not in words(most) and "Further requests are refused" in words(all_of_it)
    events = [json.loads(body) for body, _ in receiver.taken]
    assert [one["type"] for one in events] == ["quota.threshold", "quota.threshold", "quota.exceeded"]
    assert [one["data"]["object"]["threshold"] for one in events] == [50, 80, 100]
    first = events[0]
    assert (first["object"], first["livemode"], first["created"]) == ("event", False, int(clock.now.timestamp()))
    assert (
        first["data"]["object"] | {"used": 50, "limit": 100, "user": user, "metric": "calls"} == first["data"]["object"]
    )
    assert len({one["Message-ID"] for one in mailbox.mails}) == len({one["id"] for one in events}) == 3
    clock.now += timedelta(days=31)  # the next period tells again
    use(told, user, 60)
    send_all(told)
    assert len(mailbox.mails) == len(receiver.taken) == 4


def test_a_reservation_tells_nothing_and_its_commit_does(told: App, receiver: Receiver) -> None:
    user, id = limited(told, 10), new_id()
    decide(told, [Ask(kind="reserve", user=user, metric="calls", value=9, id=id)])
    send_all(told)
    assert receiver.taken == []
    decide(told, [Ask(kind="commit", user=user, id=id)])
    send_all(told)
    assert len(receiver.taken) == 2


def test_webhooks_are_signed_as_stripe_signs_with_every_secret(told: App, receiver: Receiver, clock: Any) -> None:
    use(told, limited(told, 100), 50)
    send_all(told)
    ((body, header),) = receiver.taken
    at, new, old = header.split(",")
    for secret, part in ((SECRET, new), (OLD, old)):
        digest = hmac.new(secret.encode(), at[2:].encode() + b"." + body, hashlib.sha256).hexdigest()
        assert part == f"v1={digest}"
        assert signature.verify(body, header, [secret], clock.now, 300)
    with pytest.raises(signature.InvalidSignature):
        signature.verify(body + b" ", header, [SECRET], clock.now, 300)


def test_a_webhook_is_sent_again_until_it_is_taken(told: App, receiver: Receiver, clock: Any) -> None:
    receiver.status = 500
    use(told, limited(told, 100, email=None), 50)
    send_all(told)
    (one,) = listed(told)
    assert (one.state, one.attempts, one.due_at) == ("queued", 1, clock.now + rules.FIRST_PAUSE)
    assert one.last_error and "answered with 500" in one.last_error
    receiver.status = 302  # not followed
    clock.now += rules.FIRST_PAUSE
    send_all(told)
    assert listed(told)[0].attempts == 2
    receiver.status = 204
    clock.now += timedelta(seconds=10)
    send_all(told)
    assert (listed(told)[0].state, listed(told)[0].attempts) == ("sent", 3)
    assert len({body for body, _ in receiver.taken}) == 1 and len(receiver.taken) == 3
    assert outbox.resend(told, RetryNotification(id=one.id)).id == one.id  # by hand, also what arrived
    send_all(told)
    assert len({body for body, _ in receiver.taken}) == 1 and len(receiver.taken) == 4
    with pytest.raises(NoSuchNotification):
        outbox.resend(told, RetryNotification(id="evt_none"))


def test_what_is_never_taken_fails_in_the_end(told: App, receiver: Receiver, clock: Any) -> None:
    receiver.status = 500
    use(told, limited(told, 100, email=None), 50)
    began = clock.now
    for _ in range(rules.MAX_ATTEMPTS):
        clock.now += rules.LONGEST_PAUSE
        send_all(told)
    assert (listed(told)[0].state, len(receiver.taken)) == ("failed", rules.MAX_ATTEMPTS)
    assert sum((rules.pause(at) for at in range(1, rules.MAX_ATTEMPTS)), timedelta()) > timedelta(hours=70)
    assert clock.now > began


def test_a_mail_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not(
    told: App, mailbox: Mailbox, clock: Any
) -> None:
    mailbox.answer = "450 later"
    use(told, limited(told, 100), 50)
    send_all(told)
    (one,) = listed(told, channel="mail")
    assert (one.state, one.last_error) == ("queued", "450 later")
    mailbox.answer = "550 no such mailbox"
    clock.now += timedelta(minutes=1)
    send_all(told)
    (one,) = listed(told, channel="mail")
    assert (one.state, one.last_error) == ("bounced", "550 no such mailbox")
    assert mailbox.mails == []


def test_a_mail_server_that_is_away_is_asked_again(
    tmp_path: Path, database: str, clock: Any, mailbox: Mailbox, receiver: Receiver
) -> None:
    away = settings(mailbox, receiver) | {"SMTP_PORT": str(free_port())}
    with app_on(tmp_path / "project", database, clock, METRICS, **away) as app:
        use(app, limited(app, 100), 50)
        send_all(app)
        assert listed(app, channel="mail")[0].state == "queued"
        assert listed(app, channel="webhook")[0].state == "sent"


@pytest.mark.parametrize("email", ["a@example.com\r\nBcc: b@example.com", "nobody", "", "a@example.com, b@example.com"])
def test_an_address_cannot_add_a_header_or_a_recipient(told: App, mailbox: Mailbox, email: str) -> None:
    use(told, limited(told, 100, email=email), 50)
    send_all(told)
    for mail in mailbox.mails:
        assert mail["Bcc"] is None
    assert all(one.state in ("sent", "failed") for one in listed(told))
    assert len(mailbox.mails) == 0


def test_nothing_is_told_where_nothing_is_set(app: App) -> None:
    (app.project.root / "services/billing/config").mkdir(parents=True, exist_ok=True)
    (app.project.root / "services/billing/config/usage-metrics.yml").write_text(METRICS)
    use(app, limited(app, 100), 100)
    assert listed(app) == []


def test_who_is_killed_after_sending_sends_again_under_the_same_id(
    told: App, mailbox: Mailbox, receiver: Receiver, clock: Any
) -> None:
    use(told, limited(told, 100), 50)
    root, conninfo, environ = told.project.root, told.db.conninfo, dict(told.environ)

    def work() -> None:
        with app_on(root, conninfo, clock, **environ) as mine:
            outbox.store.finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
            outbox.send_due(mine, "mail")

    assert os.waitpid(forked(work), 0)[1] == signal.SIGKILL
    assert len(mailbox.mails) == 1 and {one.state for one in listed(told)} == {"queued"}
    assert outbox.send_due(told, "mail") == 0  # the dead one's lease
    clock.now += outbox.LEASE
    send_all(told)
    assert {one.state for one in listed(told)} == {"sent"}
    assert len(mailbox.mails) + len(receiver.taken) == 3
    assert len({one["Message-ID"] for one in mailbox.mails}) == len({body for body, _ in receiver.taken}) == 1


def test_what_bears_a_name_is_told_once_each_way_by_however_many(told: App, clock: Any) -> None:
    def note(once: str | None) -> Note:
        return Note(kind="test", email="user@example.com", subject="s", text="t", data={}, once=once)

    names, start = [f"sub_{at} canceled" for at in range(20)], threading.Barrier(4)

    def post(_: int) -> None:
        start.wait()
        for name in names:
            told.db.transact(lambda tx, name=name: outbox.post(told, tx, [note(name), note(name)], clock.now))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(post, range(4)))
    found = sorted((one.once or "", one.channel) for one in listed(told))
    assert found == sorted((name, channel) for name in names for channel in ("mail", "webhook"))
    with told.db.transaction() as tx:
        outbox.post(told, tx, [note(None), note(None)], clock.now)
    assert len([one for one in listed(told, limit=100) if one.once is None]) == 4


@contextmanager
def working(app: App, module: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, **app.environ, **more, "NSELF_PROJECT": str(app.project.root)}
    log = app.project.root.parent / f"{module}.log"
    with log.open("ab") as sink:
        process = subprocess.Popen([sys.executable, "-m", module], env=environ, stdout=sink, stderr=sink)
    try:
        yield process
        assert process.poll() is None, log.read_text()[-2000:]
        process.terminate()
        assert process.wait(30) == 0, log.read_text()[-2000:]
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_the_services_send(tmp_path: Path, database: str, mailbox: Mailbox, receiver: Receiver) -> None:
    with app_on(tmp_path / "project", database, None, METRICS, **settings(mailbox, receiver)) as app:
        use(app, limited(app, 100), 85)
        more = {"STRIPE_SECRET_KEY": "sk_test_PLACEHOLDER_key", "STRIPE_MOCK_ENABLED": "true"}
        with working(app, "nself.worker", **more), working(app, "nself.worker.mail", **more):
            until(lambda: len(mailbox.mails) == len(receiver.taken) == 2, what="the services did not send")
            until(lambda: {one.state for one in listed(app)} == {"sent"})
