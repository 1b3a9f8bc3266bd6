"""A link shows a user what is theirs, for as long as it lives, and nothing of anybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from browsing import Browser
from nself.app import App
from nself.core.errors import InvalidParameter
from nself.domains.customer import service as customer
from nself.domains.customer.model import NoSuchUser
from nself.domains.page_link import service as page_link
from nself.domains.page_link.inputs import CreatePageLink, RevokePageLinks
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import record

MINE, OTHERS = "mine", "somebody-else"


@pytest.fixture
def link(app: App) -> str:
    """Of a user with usage, beside another one with other usage."""
    customer.create_users(app, {MINE: "mine@example.com", OTHERS: "others@example.com"})
    for user, used in ((MINE, 11), (OTHERS, 7777)):
        limits.set_quota(app, SetQuota(user=user, metric="api_calls", limit=100))
        record.ingest(app, [UsageEvent(user=user, metric="api_calls", value=used, key=user)], "test")
    url = page_link.create(app, CreatePageLink(user=MINE)).url
    return url[url.index("/me/") :]


def test_it_shows_what_is_theirs(browser: Browser, link: str) -> None:
    page = browser.get(link)
    assert page.status_code == 200
    assert "api_calls" in page.text and "11" in page.text and "Invoices" in page.text
    assert "7777" not in page.text and "7,777" not in page.text and OTHERS not in page.text
    assert "nself billing" not in page.text.replace("nself billing</title>", ""), "users are no operators"


def test_whatever_is_asked_for_it_is_theirs(browser: Browser, link: str) -> None:
    for query in (f"?user={OTHERS}", f"?customer=cus_other&user={OTHERS}", "?panel=0&user=x"):
        assert "7777" not in browser.get(link + query).text
    for invoice in ("in_others", "..%2F..%2Fsettings", "in_%00"):
        answer = browser.get(f"{link}/invoices/{invoice}.pdf")
        assert answer.status_code in (403, 404) and "7777" not in answer.text


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "%00", "'; drop table billing_page_links --"])
def test_a_guessed_link_tells_nothing(browser: Browser, link: str, token: str) -> None:
    assert browser.get(f"/me/{token}").status_code == 404
    assert browser.request("POST", f"/me/{token}/portal", {}).status_code == 404


def test_a_link_is_over_with_its_time_and_when_it_is_revoked(app: App, browser: Browser, link: str, clock: Any) -> None:
    second = page_link.create(app, CreatePageLink(user=MINE, lives="2h")).url
    clock.now += timedelta(hours=3)
    assert browser.get(second[second.index("/me/") :]).status_code == 404
    assert browser.get(link).status_code == 200
    assert page_link.revoke(app, RevokePageLinks(user=MINE)).revoked == 2
    assert browser.get(link).status_code == 404


@pytest.mark.parametrize("given", ["https://billing.example.com", "https://billing.example.com/"])
def test_a_link_leads_to_where_browsers_reach_the_service(app: App, link: str, given: str) -> None:
    made = App(app.project, app.registry, environ={**app.environ, "BILLING_PUBLIC_URL": given}, clock=app.clock)
    assert page_link.create(made, CreatePageLink(user=MINE)).url.startswith("https://billing.example.com/me/")
    made.close()


@pytest.mark.parametrize("lives", ["0s", "91d", "soon"])
def test_a_link_lives_for_a_while(app: App, link: str, lives: str) -> None:
    with pytest.raises((InvalidParameter, ValueError)):
        page_link.create(app, CreatePageLink(user=MINE, lives=lives))


def test_there_is_no_page_of_nobody(app: App) -> None:
    with pytest.raises(NoSuchUser):
        page_link.create(app, CreatePageLink(user="nobody"))


def test_who_pays_nothing_has_no_portal(browser: Browser, link: str) -> None:
    refused = browser.request("POST", f"{link}/portal", {})
    assert refused.status_code == 404 and "nothing to pay" in refused.text


def test_it_stands_in_a_frame_where_the_app_says_so_only(app: App, browser: Browser, link: str) -> None:
    assert "frame-ancestors 'none'" in browser.get(link).headers["content-security-policy"]
    there = App(app.project, app.registry, environ={**app.environ, "BILLING_PAGE_EMBEDDERS": "https://app.example.com"}, clock=app.clock)  # fmt: skip
    policy = Browser(there, browser.clock).get(link).headers["content-security-policy"]
    there.close()
    assert "frame-ancestors https://app.example.com" in policy
