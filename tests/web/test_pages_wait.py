"""A page waits for nobody: panels that ask Stripe come late, and tell what they found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browsing import Browser
from guided import prepare, shared_bench
from nself.web.pages import PAGES

OF = {
    "/customers": "cus_123",
    "/users": "user123",
    "/subscriptions": "sub_123",
    "/invoices": "in_123",
    "/events": "evt_123",
    "/incidents": "inc_1",
}


def test_no_page_asks_stripe(server: str, template: str, tmp_path: Path, clock: Any) -> None:
    with shared_bench(server, template, tmp_path) as bench:
        app = bench.app(clock)
        prepare(bench, app)
        browser = Browser(app, clock)
        browser.enrol("ada", "owner")
        browser.sign_in("ada")
        calls, asking, late = app.stripe.counters, set[str](), set[str]()
        for page in PAGES:
            path = page.path.format(id=OF.get(page.path.removesuffix("/{id}")))
            before = calls().calls
            assert browser.get(path).status_code == 200
            asking |= {path} if calls().calls > before else set()
            for at, panel in enumerate(page.panels):
                before = calls().calls
                if panel.late and browser.get(f"{path}?panel={at}").status_code == 200 and calls().calls > before:
                    late.add(f"{path} {panel.title}")
        assert asking == set()
        assert late >= {"/invoices/in_123 Audit", "/subscriptions/sub_123 Against Stripe"}
