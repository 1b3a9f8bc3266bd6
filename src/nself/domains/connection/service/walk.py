"""The way to Stripe step by step, and what a key is good for."""

from __future__ import annotations

import uuid
from email.utils import parsedate_to_datetime

from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import BillingError
from nself.core.settings import mask
from nself.core.steps import Broken, Steps
from nself.domains.connection import rules
from nself.domains.connection.inputs import TestConnection, TestKey
from nself.domains.connection.model import ConnectionTest, KeyTest, Permission
from nself.gateway import guard, way
from nself.gateway.api import STRIPE_VERSION
from nself.gateway.errors import InsufficientPermissions, StripeFailure

STEPS = ("key", "resolve", "connect", "proxy", "tls", "answer", "clock", "permissions", "webhook")
TIMEOUT = 5.0
"""Seconds for each step of the network."""
NOBODY = "nself_probe"
"""Id of an object that no account has: who may change it is told that it does not exist, others that they may not."""


def test_connection(app: App, given: TestConnection) -> ConnectionTest:
    """Never raises for what is wrong with the connection: the failing step says it."""
    began, steps, failure = monotonic(), Steps(*STEPS), None
    try:
        _walk(app, steps)
    except Broken as broken:
        failure = broken
    seen = app.stripe.answered() if "stripe" in vars(app) else None
    return ConnectionTest(
        ok=failure is None,
        mode=app.settings.text("STRIPE_MODE"),
        api_base=app.settings.stripe_api_base,
        account=steps.found.get("account"),
        api_version=(seen.version if seen else None) or STRIPE_VERSION,
        skew_seconds=_skew(app),
        milliseconds=round((monotonic() - began) * 1000),
        steps=steps.all(),
        cause=failure.cause if failure else None,
        help=failure.help if failure else None,
        code=error.code if failure and isinstance(error := failure.__cause__, BillingError) else None,
    )


def walked(app: App) -> ConnectionTest:
    """For whoever wants to know what is wrong with the connection: `look.once(walked)`."""
    return test_connection(app, TestConnection())


def _skew(app: App) -> int | None:
    """Whole seconds that our clock was ahead of Stripe's when it last answered."""
    seen = app.stripe.answered() if "stripe" in vars(app) else None
    if not seen or not seen.date:
        return None
    return round(seen.at - parsedate_to_datetime(seen.date).timestamp())


def _walk(app: App, steps: Steps) -> None:
    """Raises Broken at the first step that fails."""
    access = steps.take(lambda: _key(app), _told)
    target, proxy = way.place(access.base), way.proxy(app.settings, access)
    first = way.place(proxy) if proxy else target
    steps.take(lambda: (", ".join(found := way.resolve(first)), found), lambda _: rules.unresolved(first.host, proxy))
    link = steps.take(
        lambda: (f"{first} accepts connections", way.reach(first, TIMEOUT)),
        lambda error: rules.unreached(str(first), proxy, str(error), loopback=access.loopback),
    )
    with link:
        if proxy:
            steps.take(
                lambda: (f"it connects to {target}", way.tunnel(link, proxy, target)),
                lambda error: (f"HTTPS_PROXY: {error}", "nself env get HTTPS_PROXY"),
            )
        else:
            steps.skip("none is set")
        if access.base.startswith("https:"):
            steps.take(lambda: _secure(link, target), rules.insecure)
        else:
            steps.skip("plain HTTP to the sandbox")
    account = steps.take(lambda: _account(app), _told)
    steps.found["account"] = account
    steps.take(lambda: _clock(app), _told, odd=lambda skew: abs(skew) > rules.SKEW_TOLD)
    steps.take(lambda: _permissions(app, access), _told, odd=bool)
    steps.take(lambda: _endpoints(app), _told, odd=lambda usable: not usable)


def _told(error: Exception) -> tuple[str, str]:
    hints = error.hint if isinstance(error, BillingError) else ()
    return str(error), next(iter(hints), "nself billing stripe show-config")


def _key(app: App) -> tuple[str, guard.Access]:
    access = guard.access(app.settings)
    return f"{access.shown} from {app.settings.value('STRIPE_SECRET_KEY').origin}", access


def _secure(link: object, target: way.Place) -> tuple[str, None]:
    found = way.secure(link, target)  # type: ignore[arg-type]
    return f"{found.version}, certificate of {found.issuer} until {found.until:%Y-%m-%d}", None


def _account(app: App) -> tuple[str, str]:
    account = str(app.stripe.account()["id"])
    return f"{account}, {'live' if app.stripe.live else 'test'} mode", account


def _clock(app: App) -> tuple[str, int]:
    skew = _skew(app)
    if skew is None:
        return "the answer bore no date", 0
    return rules.skew_in_words(skew, app.settings.seconds("BILLING_WEBHOOK_SIGNATURE_TOLERANCE")), skew


def _permissions(app: App, access: guard.Access) -> tuple[str, list[str]]:
    if not access.key.startswith("rk_"):
        return "a secret key may do everything", []
    lacks = rules.lacking(_probed(app))
    return (f"it may not {', '.join(lacks)}" if lacks else "a restricted key that may do all that nself does"), lacks


def _endpoints(app: App) -> tuple[str, int]:
    """Endpoints at Stripe that send to one of our paths."""
    try:
        found = list(app.stripe.listed("webhook_endpoints"))
    except InsufficientPermissions:
        return "the key may not read webhook endpoints", 1
    usable = [one for one in found if one["status"] == "enabled" and str(one["url"]).endswith(rules.WEBHOOK_PATHS)]
    return rules.endpoints_in_words(found, usable), len(usable)


def test_key(app: App, given: TestKey) -> KeyTest:
    """Whether Stripe takes the key, and for a restricted one what it may do. Never raises for what is wrong with it."""
    value, failure, account, permissions = app.settings.value("STRIPE_SECRET_KEY"), None, None, list[Permission]()
    try:
        account = _account(app)[1]
        if value.text.startswith("rk_"):
            permissions = _probed(app)
    except BillingError as error:
        failure = error
    return KeyTest(
        valid=failure is None,
        secret_key=mask(value.text) or "not set",
        origin=value.origin,
        kind=rules.kind_of_key(value.text),
        mode=app.settings.text("STRIPE_MODE"),
        account=account,
        odd=value.odd,
        permissions=permissions,
        lacks=rules.lacking(permissions),
        cause=failure.message if failure else None,
        help=_told(failure)[1] if failure else None,
    )


def _probed(app: App) -> list[Permission]:
    """By trying; nothing is changed."""
    return [
        Permission(resource=one, read=_may_read(app, one), write=_may_write(app, one) if write else "unknown")
        for one, write in rules.NEEDED.items()
    ]


def _may_read(app: App, resource: str) -> rules.May:
    try:
        next(iter(app.stripe.listed(resource, limit=1)), None)
    except InsufficientPermissions:
        return "no"
    except StripeFailure as failure:
        if failure.http_status is None:
            raise
    return "yes"


def _may_write(app: App, resource: str) -> rules.May:
    try:
        app.stripe.change(resource, NOBODY, params={}, key=uuid.uuid4().hex)
    except InsufficientPermissions:
        return "no"
    except StripeFailure as failure:
        if failure.http_status is None:
            raise
    return "yes"
