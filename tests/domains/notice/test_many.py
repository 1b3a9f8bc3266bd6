"""Many are told: counted first, each address once an incident."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nself.app import App
from nself.domains.incident import service as incidents
from nself.domains.incident.inputs import CloseIncident, CreateIncident
from nself.domains.notice.inputs import NotifyCustomers
from nself.domains.notice.model import BadCustomers, MailDisabled, NoAddressees, NotifiedMany
from nself.domains.notice.service import many
from subscribing import Shop
from telling import Mailbox, send_all, words


def tell(app: App, path: Path | None = None, **more: Any) -> NotifiedMany:
    given = NotifyCustomers(template="billing_error_apology", customers=str(path) if path else None, **more)
    return many.notify_customers(app, given)


def counts(found: NotifiedMany) -> tuple[int, int, int, int, int]:
    return found.customers, found.without_address, found.suppressed, found.told_before, found.queued


def written(folder: Path, *rows: str, header: str = "customer,amount,currency") -> Path:
    path = folder / "affected.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def open_incident(app: App) -> str:
    return incidents.create(app, CreateIncident(type="overcharge", severity="critical", description="twice")).id


def test_each_is_told_once_an_incident(shop: Shop, mailbox: Mailbox, tmp_path: Path) -> None:
    app = shop.app()
    first, second = shop.customer(app, "first"), shop.customer(app, "second")
    silent = str(shop.sandbox.post("/v1/customers")["id"])
    shop.hear(app)
    path = written(
        tmp_path, f"{first},300,usd", f"{first},200,usd", f"{second},100,usd", f"{second},1,eur", f"{silent},,"
    )
    assert counts(tell(app, path, dry_run=True)) == (3, 1, 0, 0, 2)
    assert shop.told("mail") == []
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: tell(shop.app(), path), range(4)))
    assert counts(tell(app, path)) == (3, 1, 0, 2, 0)
    send_all(app)
    told = {mail["To"]: words(mail) for mail in mailbox.mails}
    assert sorted(told) == ["first@example.com", "second@example.com"]
    assert "5.00 USD" in told["first@example.com"]
    assert "What was charged too much" in told["second@example.com"]

    incident = open_incident(app)
    done = tell(app, path)
    assert (done.incident, done.queued) == (incident, 2)
    assert tell(app, path, incident=incident).told_before == 2
    incidents.close(app, CloseIncident(incident=incident))
    other = open_incident(app)
    assert (tell(app, path).incident, len(shop.told("mail"))) == (other, 6)


def test_everybody_with_a_living_subscription(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "PAGE", 2)
    app = shop.app()
    customers = [shop.customer(app, f"user{n}") for n in range(5)]
    ended = shop.subscribe(customers[0])
    for one in customers[1:]:
        shop.subscribe(one)
    shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{ended}")
    shop.hear(app)
    bounced = "user1@example.com"
    shop.bench.sql("insert into billing_mail_suppressions values (%s, 'bounced', '', null, now())", bounced)
    assert counts(tell(app, all_active=True)) == (4, 0, 1, 0, 3)


def test_in_live_mode_it_counts_until_yes(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = shop.app()
    path = written(tmp_path, shop.customer(app, "user"), header="customer")
    monkeypatch.setattr(type(app.settings), "live", property(lambda _: True))
    found = tell(app, path)
    assert (found.executed, found.queued, shop.told("mail")) == (False, 1, [])
    assert "--yes" in found.note


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["cus_none,1,usd"], "no such customers: cus_none"),
        (["in_1,1,usd"], "row 2: in_1 is no customer"),
        (
            ["cus_none,1.5,usd", "cus_none,1,"],
            r"row 2: 1\.5 is no amount in minor units; row 3: amount without a currency",
        ),
    ],
)
def test_a_wrong_file_tells_nobody(shop: Shop, tmp_path: Path, rows: list[str], said: str) -> None:
    with pytest.raises(BadCustomers, match=said):
        tell(shop.app(), written(tmp_path, *rows))


def test_what_is_missing_is_said(shop: Shop, tmp_path: Path) -> None:
    app = shop.app()
    with pytest.raises(NoAddressees):
        tell(app)
    with pytest.raises(BadCustomers):
        tell(app, tmp_path / "none.csv")
    with pytest.raises(MailDisabled):
        tell(shop.app(MAIL_ENABLED="false"), all_active=True)
