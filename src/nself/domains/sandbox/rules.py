"""What the demonstration and the guide's fixtures are made of, and how an operator's words become the sandbox's."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec

from nself.core import period
from nself.core.errors import InvalidParameter
from nself.core.settings import seconds
from nself.domains.connection.rules import WEBHOOK_PATHS
from nself.domains.notification.model import Note
from nself.domains.sandbox.inputs import AddFault
from nself.domains.usage.inputs import UsageEvent

SEED = 2026
LINES, USERS = 5_000, 60
START = datetime(2026, 1, 1, tzinfo=UTC)
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
PATHS = (
    "/",
    "/docs",
    "/blog/2026/01",
    "/api/v1/search?q=stripe",
    "/static/app.js",
    "/images/logo.png",
    "/download/report.pdf",
)

QUOTAS = (("api_calls", 20), ("bandwidth", 5 * 2**20))
"""Metric and free units a month on plan free; what is above is charged."""

PRICES = """\
# Prices of the demonstration: `amount` dollars for each `per` units above the quota.
overage:
  api_calls: {amount: "0.05"}
  bandwidth: {amount: "0.09", per: 1048576}
"""

SETTINGS = {
    "STRIPE_MODE": "test",
    "STRIPE_MOCK_ENABLED": "true",
    "STRIPE_SECRET_KEY": "sk_test_PLACEHOLDER_demo",
    "STRIPE_RATE_LIMIT": "1000",
    "USAGE_AGGREGATION_INTERVAL": "10s",
}


def traffic() -> Iterator[str]:
    """Lines of an access log in combined format; a few users make most of them."""
    draw = random.Random(SEED)
    weights = [1 / rank for rank in range(1, USERS + 1)]
    at = START
    for _ in range(LINES):
        at += timedelta(seconds=draw.expovariate(1 / 500))
        host = f"198.51.100.{draw.choices(range(1, USERS + 1), weights)[0]}"
        path = draw.choice(PATHS)
        missing = draw.random() < 0.03
        size = "-" if missing else str(int(draw.paretovariate(1.2) * 4000))
        stamp = f"{at.day:02}/{MONTHS[at.month - 1]}/{at.year}:{at:%H:%M:%S} +0000"
        yield f'{host} - - [{stamp}] "GET {path} HTTP/1.1" {304 if missing else 200} {size} "-" "demo/1.0"\n'


KEPT_SETTINGS = frozenset(
    {
        "DATABASE_URL",
        "BILLING_HOST",
        "BILLING_PORT",
        "BILLING_LOG_DIR",
        "STRIPE_MOCK_PORT",
        "STRIPE_MOCK_TRAFFIC",
        "NO_PROXY",
    }
)
"""Where things are on this machine: a reset leaves them alone."""
GUIDE_SETTINGS = {
    "STRIPE_MODE": "test",
    "STRIPE_MOCK_ENABLED": "true",
    "STRIPE_SECRET_KEY": "sk_test_PLACEHOLDER_guide",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_PLACEHOLDER_guide",
    "STRIPE_WEBHOOK_SECRET": "whsec_PLACEHOLDER_guide",
    "STRIPE_RATE_LIMIT": "1000",
    "MAIL_ENABLED": "true",
    "MAIL_FROM": "billing@example.com",
}
GUIDE_USER, GUIDE_EMAIL = "user123", "user@example.com"
GUIDE_QUOTA = ("api_calls", 1000)
GUIDE_MAIL = "msg_123"
GUIDE_MONTH = datetime(2026, 1, 1, tzinfo=UTC)
GUIDE_NOW = {"api_calls": 420, "bandwidth": 3 * 2**20}
"""What the guide's user has used today: well within the quota."""


def guide_usage(now: datetime) -> Iterator[UsageEvent]:
    """1,500 api_calls and 30 MiB in January 2026 (500 calls above the quota), a little today."""
    for n in range(1500):
        at = GUIDE_MONTH + timedelta(minutes=29 * n)
        yield _guide_event("api_calls", 1, at, f"guide-2026-01-{n}")
    for day in range(30):
        at = GUIDE_MONTH + timedelta(days=day, hours=12)
        yield _guide_event("bandwidth", 2**20, at, f"guide-2026-01-bytes-{day}")
    for metric, value in GUIDE_NOW.items():
        yield _guide_event(metric, value, now, f"guide-now-{metric}")


def guide_mail(invoice: dict[str, Any]) -> Note:
    """The mail that the guide asks for: that of its newest finalised invoice. It goes to the local mailbox."""
    once = f"{invoice['id']} invoice"
    return Note(
        id=GUIDE_MAIL, kind="invoice", template="invoice", email=GUIDE_EMAIL, data=invoice, once=once, mail_only=True
    )


def _guide_event(metric: str, value: int, at: datetime, key: str) -> UsageEvent:
    return UsageEvent(user=GUIDE_USER, metric=metric, value=value, at=at.isoformat(), key=key)


def endpoint(url: str, secret: str) -> dict[str, object]:
    """The sandbox's webhook endpoint that sends every event to `url`."""
    return {
        "object": "webhook_endpoint", "id": "we_123", "url": url, "secret": secret, "enabled_events": ["*"], "status": "enabled",
        "description": "nself billing", "metadata": {"nself": "webhooks"},
    }  # fmt: skip


def clock_target(text: str, tz: ZoneInfo) -> int:
    """The instant in whole seconds, as Stripe has them."""
    return int(period.instant(text, tz, "instant").timestamp())


FAULT_OPTIONS = {
    "request": {"fail", "drop", "delay", "after", "method", "path", "times"},
    "delivery": {"webhooks", "events", "seconds", "times"},
    "outage": {"since", "until", "fail", "drop", "method", "path"},
}


def fault(given: AddFault, now: int, tz: ZoneInfo) -> dict[str, Any]:
    """The sandbox's fault; `now` is its clock. Raises InvalidParameter where options do not go together."""
    chosen = {name for name in given.__struct_fields__ if getattr(given, name) not in (None, False)}
    kind = "delivery" if given.webhooks else "outage" if given.until else "request"
    if kind == "request" and not chosen & {"fail", "drop", "delay"}:
        raise InvalidParameter("One of --fail, --drop, --delay, --until and --webhooks is needed", "fail")
    for name in sorted(chosen - FAULT_OPTIONS[kind]):
        main = {"request": "--fail, --drop or --delay", "delivery": "--webhooks", "outage": "--until"}[kind]
        raise InvalidParameter(f"--{name} does not go together with {main}", name)
    plain = {name: getattr(given, name) for name in ("method", "path", "events", "times") if name in chosen}
    return {
        "on": kind,
        **plain,
        **{"request": _request, "delivery": _delivery, "outage": _outage}[kind](given, now, tz),
    }


def _request(given: AddFault, now: int, tz: ZoneInfo) -> dict[str, Any]:
    wanted: dict[str, Any] = {"drop": given.drop, "after": given.after}
    if given.fail:
        wanted["status"] = int(given.fail)
    if given.delay:
        wanted["delay"] = period.duration(given.delay, "delay")
    return wanted


def _delivery(given: AddFault, now: int, tz: ZoneInfo) -> dict[str, Any]:
    action = (given.webhooks or "").replace("-", "_")
    return {"action": action, **({"seconds": period.duration(given.seconds, "seconds")} if given.seconds else {})}


def _outage(given: AddFault, now: int, tz: ZoneInfo) -> dict[str, Any]:
    if given.fail not in (None, "503"):
        raise InvalidParameter("An outage answers 503 or, with --drop, nothing at all", "fail")
    since = int(period.instant(given.since, tz, "since").timestamp()) if given.since else now
    return {"since": since, "until": _end(given.until or "", since, tz), "drop": given.drop}


def _end(text: str, since: int, tz: ZoneInfo) -> int:
    try:
        return since + int(seconds(text))
    except ValueError:
        return int(period.instant(text, tz, "until").timestamp())


def fault_words(one: Mapping[str, Any]) -> tuple[str, str]:
    """What a fault does, and to what."""
    if one["on"] == "delivery":
        late = f" {one['seconds']:g} s" if one["seconds"] else ""
        return f"{one['action'].replace('_', ' ')}{late}", f"events {one['events']}"
    where = f"{one['method']} {one['path']}"
    if one["on"] == "outage":
        first, last = (datetime.fromtimestamp(one[name], UTC) for name in ("since", "until"))
        return f"{'no answer' if one['drop'] else '503'} from {first:%FT%TZ} until {last:%FT%TZ}", where
    parts = [f"{one['delay']:g} s late"] if one["delay"] else []
    parts += ["no answer"] if one["drop"] else [str(one["status"])] if one["status"] else []
    return ", ".join(parts) + (" after the work" if one["after"] else ""), where


def test_key(text: str) -> str:
    """A live key has nothing to do here and is not sent on."""
    if not re.fullmatch(r"[sr]k_test_[\x21-\x7e]+", text):
        raise InvalidParameter("Invalid key: one that begins with sk_test_ or rk_test_ is needed", "key")
    return text


def permissions(allowed: Sequence[str]) -> dict[str, str]:
    """`customers=read` -> {"customers": "read"}."""
    pairs = [one.partition("=") for one in allowed]
    for resource, _, level in pairs:
        if not resource or level not in ("none", "read", "write"):
            raise InvalidParameter(
                f"Invalid --allow: {resource[:40]}={level[:40]} (write customers=read; none, read or write)", "allow"
            )
    return {resource: level for resource, _, level in pairs}


def changes(assignments: Sequence[str]) -> dict[str, Any]:
    """`metadata.plan=pro` -> {"metadata": {"plan": "pro"}}; what is not JSON is text."""
    made: dict[str, Any] = {}
    for one in assignments:
        path, equals, text = one.partition("=")
        *parents, last = path.split(".")
        if not equals or not all((*parents, last)):
            raise InvalidParameter(f"Invalid --set: {one[:60]} (write path=value)", "set")
        place = made
        for name in parents:
            inner: Any = place.setdefault(name, {})
            if not isinstance(inner, dict):
                raise InvalidParameter(f"Invalid --set: {one[:60]} ({name} has a value already)", "set")
            place = cast("dict[str, Any]", inner)
        place[last] = _value(text)
    return made


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def forward_url(text: str) -> str:
    """As `stripe listen` takes it: without a scheme it is http."""
    url = text if "://" in text else f"http://{text}"
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise InvalidParameter(
            f"Invalid --forward-to: {text[:60]} (write localhost:8080/webhooks/stripe)", "forward_to"
        )
    return url


def is_own(url: str, port: int) -> bool:
    """Whether it is this project's own receiver, however the machine itself is called."""
    found = re.fullmatch(r"http://(?:localhost|127\.0\.0\.1|\[::1\]):(\d+)(/\S*)", url)
    return bool(found and int(found[1]) == port and found[2] in WEBHOOK_PATHS)


def is_sandbox(base: str, port: int) -> bool:
    return bool(re.fullmatch(rf"http://(?:localhost|127\.0\.0\.1|\[::1\]):{port}", base))


def fixtures(document: object) -> list[object] | None:
    """The objects in a file: an array, Stripe's answer to a list, or one object; None for anything else."""
    if isinstance(document, list):
        return cast("list[object]", document)
    if not isinstance(document, dict):
        return None
    one = cast("dict[str, object]", document)
    if isinstance(one.get("data"), list) and one.get("object", "list") == "list":
        return cast("list[object]", one["data"])
    return [one] if "object" in one else None
