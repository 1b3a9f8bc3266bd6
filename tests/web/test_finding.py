"""What the box at the top of each page leads to."""

from __future__ import annotations

import pytest

from browsing import Browser
from nself.app import App


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("cus_123", "/customers/cus_123"),
        (" in_123 ", "/invoices/in_123"),
        ("user123", "/users/user123"),
        ("a/b?c", "/users/a%2Fb%3Fc"),
        ("ada@example.com", "/customers?search=ada%40example.com"),
        ("Ada Lovelace", "/customers?search=Ada%20Lovelace"),
        ("", "/"),
    ],
)
def test_what_is_looked_for_has_its_page(browser: Browser, text: str, place: str) -> None:
    browser.enrol("finder", "read-only")
    browser.sign_in("finder")
    answer = browser.get("/find", params={"text": text})
    assert (answer.status_code, answer.headers["location"]) == (303, place)


MIRRORED = """
insert into billing_customers (customer_id, user_id, livemode, snapshot, snapshot_number, created_at, synced_at, source, api_version, digest)
values (%s, null, false, jsonb_build_object('email', %s::text), 1, now(), now(), 'test', '', '')
"""


def test_the_page_of_a_search_has_what_was_found_and_nothing_else(app: App, browser: Browser) -> None:
    with app.db.transaction() as tx:
        for name in ("first", "second"):
            tx.connection.execute(MIRRORED, [f"cus_{name}", f"{name}@finding.example"])
    browser.enrol("finder", "read-only")
    browser.sign_in("finder")
    page = browser.get("/customers?search=FIRST%40finding").text
    assert "first@finding.example" in page and "second@finding.example" not in page
    assert "nself billing customer list --search FIRST@finding" in page
