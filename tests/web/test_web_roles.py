"""Nobody sees or does what their role does not give: every page, panel and deed, with every role and with none."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from starlette.routing import Route

from browsing import Browser, hidden
from nself.app import App
from nself.core import roles
from nself.core.entrypoint import Command
from nself.domains.customer import service as customer
from nself.domains.operator import rules
from nself.domains.operator import service as operator
from nself.domains.operator.inputs import ListOperators, Role, SetRole
from nself.domains.trail import service as trail
from nself.domains.trail.inputs import ShowLog
from nself.web.pages import DEEDS, PAGES
from nself.web.routes import web_routes

ALL: tuple[Role, ...] = ("read-only", "support", "operator", "owner")
OPEN = {
    "/sign-in",
    "/enrol",
    "/static/{name}",
    "/me/{token}",
    "/me/{token}/portal",
    "/me/{token}/invoices/{invoice}.pdf",
}


def filled(path: str) -> str:
    return path.replace("{id}", "cus_none")


def test_every_route_but_signing_in_asks_who_you_are(app: App, browser: Browser) -> None:
    for route in web_routes(app):
        assert isinstance(route, Route)
        if route.path in OPEN:
            continue
        path = filled(route.path).replace("{command:path}", "billing/quota/set")
        for method in sorted((route.methods or set()) & {"GET", "POST"}):
            answer = browser.request(method, path, {} if method == "POST" else None)
            assert (answer.status_code, answer.headers["location"][:12]) == (303, "/sign-in?to="), (method, path)
            assert "csrf" not in answer.text


@pytest.mark.parametrize("role", ALL)
def test_a_role_sees_its_pages_and_no_other(browser: Browser, role: Role) -> None:
    browser.enrol("somebody", role)
    browser.sign_in("somebody")
    for page in PAGES:
        for path in (filled(page.path), f"{filled(page.path)}?panel=0"):
            allowed = roles.may(role, page.role)
            assert browser.get(path).status_code == (200 if allowed else 403), path
    menu = browser.get("/customers").text
    assert ('href="/operators"' in menu) == (role == "owner") and ('href="/settings"' in menu) == roles.may(
        role, "operator"
    )


@pytest.mark.parametrize("role", ALL)
def test_a_role_does_its_deeds_and_no_other(browser: Browser, role: Role) -> None:
    """Forms that are not given away are not taken either."""
    browser.enrol("somebody", role)
    browser.sign_in("somebody")
    csrf = browser.csrf()
    for command, needed in DEEDS.items():
        path = f"/do/{command.replace(' ', '/')}"
        if roles.may(role, needed):
            assert browser.get(path).status_code == 200, command
        else:
            assert browser.get(path).status_code == 403
            assert browser.post(path, {"csrf": csrf, "user": "u", "metric": "m", "limit": "1"}).status_code == 403
    for command in ("db/query", "billing/api-key/create", "env/set", "exec", "billing/sandbox/reset"):
        assert browser.get(f"/do/{command}").status_code == 403
        assert browser.post(f"/do/{command}", {"csrf": csrf}).status_code == 403


def test_every_panel_and_every_deed_is_a_command_whose_fields_exist(app: App) -> None:
    rows = {path: row for row in app.registry.rows(Command) for path in (row.path, *row.aliases)}
    for page in PAGES:
        for one in (*page.panels, *page.deeds):
            known = app.registry.resolve(rows[one.command].input).__struct_fields__  # type: ignore[attr-defined]
            assert set(one.given) | set(getattr(one, "asks", ())) <= set(known), one
        assert not [one.command for one in page.panels if rows[one.command].audited], "a panel only reads"
    assert all(roles.may("owner", needed) for needed in DEEDS.values())


def test_a_deed_is_done_once_said_in_its_line_and_written_down(app: App, owner: Browser) -> None:
    customer.create_users(app, {"user123": "user@example.com"})
    page = owner.get("/do/billing/quota/set?user=user123")
    assert '<select id="f-mode"' in page.text and 'id="f-limit" name="limit" value="" required' in page.text
    assert '<input type="checkbox" id="f-immediate"' in owner.get("/do/billing/subscription/cancel").text
    form = {
        "csrf": hidden(page.text, "csrf"),
        "user": "user123",
        "metric": "api_calls",
        "limit": "10",
        "period": "month",
    }
    done = owner.post("/do/billing/quota/set", form)
    assert done.status_code == 200
    assert "nself billing quota set --metric api_calls --limit 10 --user user123" in done.text
    assert "10" in owner.get("/users/user123").text
    (written,) = [one for one in trail.show_log(app, ShowLog()) if "quota set" in one.command]
    assert (written.actor, written.outcome) == ("ada (dashboard)", "done")


@pytest.mark.parametrize("csrf", ["", "x", None])
def test_a_form_of_somebody_else_is_not_taken(app: App, owner: Browser, csrf: str | None) -> None:
    form = {"user": "user123", "metric": "api_calls", "limit": "10"} | ({} if csrf is None else {"csrf": csrf})
    assert owner.post("/do/billing/quota/set", form).status_code == 403
    assert owner.post("/sign-out", {} if csrf is None else {"csrf": csrf}).status_code == 403
    assert owner.get("/customers").status_code == 200


def test_what_a_command_refuses_is_told_with_its_help(owner: Browser) -> None:
    form = {"csrf": owner.csrf(), "user": "user123", "metric": "api_calls", "limit": "many"}
    refused = owner.post("/do/billing/quota/set", form)
    assert refused.status_code == 400 and "Invalid limit" in refused.text and 'role="alert"' in refused.text


def test_names_are_shown_and_never_run(owner: Browser) -> None:
    assert "<script>alert" not in owner.get("/users/%3Cscript%3Ealert(1)%3C%2Fscript%3E").text
    assert "<script>alert" not in owner.get("/customers?limit=%3Cscript%3Ealert(1)%3C/script%3E").text


def test_a_link_works_once_and_for_half_an_hour(browser: Browser, clock: Any) -> None:
    browser.enrol("ada", "owner")
    link = browser.link("ada")
    newer = browser.link("ada")
    assert browser.get(link[link.index("/enrol") :]).status_code == 403, "a newer one ends it"
    assert browser.use(newer).status_code == 303
    assert browser.get(newer[newer.index("/enrol") :]).status_code == 403
    late = browser.link("ada")
    clock.now += timedelta(minutes=31)
    assert browser.get(late[late.index("/enrol") :]).status_code == 403


def test_a_new_enrolment_ends_the_sessions_of_the_old_one(app: App, owner: Browser, clock: Any) -> None:
    other = Browser(app, clock)
    other.use(other.link("ada"))
    assert owner.get("/customers").status_code == 303


def test_a_code_is_taken_once(browser: Browser) -> None:
    browser.enrol("ada", "owner")
    code = browser.code()
    assert browser.sign_in("ada", code=code).status_code == 303
    assert browser.sign_in("ada", code=code).status_code == 401


@pytest.mark.parametrize(
    "wrong", [{"password": "wrong"}, {"code": "000000"}, {"code": "abc"}, {"name": "nobody"}, {"code": ""}]
)
def test_whatever_is_wrong_is_told_in_the_same_words(browser: Browser, wrong: dict[str, str]) -> None:
    browser.enrol("ada", "owner")
    refused = browser.sign_in("ada", **wrong)
    assert refused.status_code == 401 and "Name, password or code is wrong" in refused.text
    assert "nself_session" not in browser.cookies


def test_guessing_is_locked_for_ever_longer_and_a_right_answer_waits_too(browser: Browser, clock: Any) -> None:
    browser.enrol("ada", "owner")
    for _ in range(rules.FREE_FAILURES + 3):
        browser.sign_in("ada", password="wrong")
        clock.now += timedelta(seconds=20)
    assert browser.sign_in("ada", password="wrong").status_code == 401
    locked = browser.post("/sign-in", {"name": "ada", "password": "x", "code": "1"})
    assert locked.status_code == 429
    clock.now += timedelta(seconds=rules.LONGEST_LOCK)
    assert browser.sign_in("ada").status_code == 303


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "evil"]
)
def test_signing_in_leads_nowhere_else(browser: Browser, to: str) -> None:
    browser.enrol("ada", "owner")
    assert browser.sign_in("ada", to=to).headers["location"] == "/"
    assert browser.sign_in("ada", to="/customers").headers["location"] == "/customers"


@pytest.mark.parametrize("passes", [rules.IDLE, rules.SESSION_LIVES])
def test_a_session_ends_by_itself(owner: Browser, clock: Any, passes: timedelta) -> None:
    assert owner.get("/customers").status_code == 200
    clock.now += passes
    assert owner.get("/customers").status_code == 303


def test_a_role_that_is_taken_holds_from_the_next_request_on(app: App, owner: Browser, clock: Any) -> None:
    second = Browser(app, clock)
    second.enrol("bob", "owner")
    second.sign_in("bob")
    assert second.get("/operators").status_code == 200
    operator.set_role(app, SetRole(name="bob", role="read-only"))
    assert second.get("/operators").status_code == 403
    assert [one.role for one in operator.list_operators(app, ListOperators())] == ["owner", "read-only"]


def test_the_cookie_is_for_this_site_and_no_script(browser: Browser) -> None:
    browser.enrol("ada", "owner")
    set_cookie = browser.sign_in("ada").headers["set-cookie"].lower()
    assert "httponly" in set_cookie and "samesite=strict" in set_cookie and "secure" not in set_cookie
    secure = browser.post("/sign-in", {"name": "ada", "password": "correct horse battery", "code": browser.code()}, headers={"x-forwarded-proto": "https"})  # fmt: skip
    assert "secure" in secure.headers["set-cookie"].lower()


def test_no_page_loads_anything_from_elsewhere(owner: Browser) -> None:
    for page in PAGES:
        answer = owner.get(filled(page.path))
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        loaded = re.findall(r"(?:src|action|data|srcset|poster|<link[^>]*href)=\"([^\"]+)\"", answer.text)
        assert [one for one in loaded if not one.startswith(("/", "data:,"))] == []
        assert " style=" not in answer.text and "<script>" not in answer.text and " onclick" not in answer.text
