"""Marks by which an object at Stripe tells which intent made it; words for what is wrong with the connection."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, cast

from nself.core.settings import Settings
from nself.domains.connection.model import Intent, Permission, Pressure, Snapshot
from nself.domains.measurement.model import MINUTE, Minute

MARK, KEY = "nself_intent", "nself_"
AUTOMATIC = "invoice.pay"
"""Kind of the intents that pay an invoice without anybody asking for it."""


def part(snapshot: Snapshot, name: str) -> Snapshot:
    """A nested object of a snapshot, empty where Stripe left it out."""
    return cast(Snapshot, snapshot.get(name) or {})


def items(snapshot: Snapshot, name: str) -> list[Snapshot]:
    """The data of a nested list of a snapshot."""
    return cast("list[Snapshot]", part(snapshot, name).get("data", []))


def marked(params: Snapshot, key: str) -> Snapshot:
    """`params` with the intent's key in the metadata, by which a lost outcome is found again."""
    return {**params, "metadata": {**part(params, "metadata"), MARK: key}}


def with_mark(made: Iterable[Snapshot], intent: Intent) -> Snapshot | None:
    """The object that `intent` made under any of its keys, among those that Stripe lists."""
    wanted = root(intent.idempotency_key)
    return next((one for one in made if root(part(one, "metadata").get(MARK) or "") == wanted), None)


def root(key: str) -> str:
    """What all keys of one wish have in common."""
    return key.partition("-")[0]


def another(key: str) -> str:
    """The next key for the same wish, where one is of no more use."""
    first, _, number = key.partition("-")
    return f"{first}-{int(number or 1) + 1}"


def following(key: str, step: int) -> str:
    """The key of the step behind the one with `key`: whoever takes it, a restored database too, has the same."""
    return f"{KEY}{hashlib.blake2b(f'{root(key)} {step}'.encode(), digest_size=16).hexdigest()}"


def charges(kind: str, params: Snapshot) -> bool:
    """Whether an intent takes money from somebody: invoices paid, payments confirmed at once. Refunds and drafts do not."""
    path = cast("list[str]", params.get("path") or [])
    if path == ["payment_intents"]:
        return bool(part(params, "params").get("confirm"))
    return paid_invoice(kind, params) is not None


def paid_invoice(kind: str, params: Snapshot) -> str | None:
    """The invoice that an intent has paid."""
    path = cast("list[str]", params.get("path") or [])
    if kind == AUTOMATIC:
        return params["invoice"]
    return path[1] if path[:1] == ["invoices"] and path[2:] == ["pay"] else None


VERBS: dict[str, Callable[[Snapshot, Snapshot], bool]] = {
    "finalize": lambda one, _: one.get("status") != "draft",
    "pay": lambda one, _: one.get("status") == "paid",
    "void": lambda one, _: one.get("status") == "void",
    "mark_uncollectible": lambda one, _: one.get("status") == "uncollectible",
    "cancel": lambda one, _: one.get("status") == "canceled",
    "release": lambda one, _: one.get("status") == "released",
    "resume": lambda one, _: one.get("status") in ("active", "past_due"),
    "confirm": lambda one, _: one.get("status") in ("processing", "requires_action", "requires_capture", "succeeded"),
    "capture": lambda one, _: one.get("status") == "succeeded",
    "attach": lambda one, given: one.get("customer") == given["customer"],
    "detach": lambda one, _: one.get("customer") is None,
    "send": lambda one, _: False,
    "add_lines": lambda one, _: False,
    "remove_lines": lambda one, _: False,
    "update_lines": lambda one, _: False,
}
"""Last words of paths that are deeds, and whether an object shows that the deed was done."""
UNMARKED = frozenset({"tax_ids", "sessions"})
"""Collections whose objects bear no metadata."""


def marks(path: Sequence[str]) -> bool:
    """Whether a POST to `path` makes an object that can bear our mark."""
    return len(path) % 2 == 1 and path[-1] not in VERBS and path[-1] not in UNMARKED


def collected(path: Sequence[str]) -> bool:
    """Whether a POST to `path` makes an object that bears no mark: it is told by its fields."""
    return path[-1] in UNMARKED


def narrowed(path: Sequence[str], given: Snapshot, since: int) -> Snapshot:
    """Filters of the list in which an object made with `given` since then (Unix seconds) is found."""
    found: Snapshot = {name: given[name] for name in FILTERS.get(path[-1], ()) if name in given}
    if path[-1] != "subscription_items":  # whose list knows no time
        found["created"] = {"gte": since}
    return found | ({"status": "all"} if path[-1] == "subscriptions" else {})


FILTERS = {
    "customers": (),
    "subscriptions": ("customer",),
    "invoices": ("customer", "subscription"),
    "invoiceitems": ("customer", "invoice"),
    "payment_intents": ("customer",),
    "setup_intents": ("customer",),
    "refunds": ("charge", "payment_intent"),
    "credit_notes": ("invoice",),
    "prices": ("product",),
    "subscription_items": ("subscription",),
}


def repeatable(path: Sequence[str]) -> bool:
    """Whether doing it a second time does no harm, as Stripe refuses or ignores it."""
    return path[-1] in VERBS and path[-1] not in ("add_lines", "send")


def holds(path: Sequence[str], given: Snapshot, found: Snapshot, removed: bool) -> bool:
    """Whether an object shows that a change was made."""
    if removed:
        return bool(found.get("deleted")) or found.get("status") == "canceled"
    if path[-1] in VERBS:
        return VERBS[path[-1]](found, given)
    return not found.get("deleted") and all(_same(value, found[name]) for name, value in given.items() if name in found)


def _same(wanted: Any, found: Any) -> bool:
    """Parameters name objects by id and leave out what shall stay; items of a list are told by theirs."""
    if isinstance(wanted, list) and isinstance(found, list):
        asked, stands = cast("list[Any]", wanted), cast("list[Any]", found)
        return len(asked) == len(stands) and all(map(_same, asked, stands))
    if not isinstance(found, dict):
        return wanted == found or (wanted == "" and not found)
    one = cast("Snapshot", found)
    if "data" in one:
        by_id = {each["id"]: each for each in items({"list": one}, "list")}
        return all(
            each.get("id") in by_id and _same(each, by_id[each["id"]]) for each in cast("list[Snapshot]", wanted)
        )
    if isinstance(wanted, dict):
        return all(_same(value, one[name]) for name, value in cast("Snapshot", wanted).items() if name in one)
    return wanted == one.get("id")


def user_of(snapshot: Snapshot) -> Any:
    """The user that we wrote into an object's metadata, or None."""
    return part(snapshot, "metadata").get("nself_user")


# ---- the connection ----

May = Literal["yes", "no", "unknown"]
SKEW_TOLD = 5
"""Seconds: what a network may explain."""
WEBHOOK_PATHS = ("/webhooks/stripe", "/api/webhooks/stripe")
"""Of one and the same receiver."""
NEEDED = {
    "customers": True,
    "payment_methods": True,
    "payment_intents": True,
    "charges": False,
    "refunds": True,
    "disputes": False,
    "subscriptions": True,
    "invoices": True,
    "credit_notes": True,
    "prices": True,
    "products": True,
    "subscription_schedules": True,
    "tax_rates": True,
    "events": False,
    "webhook_endpoints": True,
}
"""What nself reads at Stripe, and whether it changes it."""


def lacking(permissions: Iterable[Permission]) -> list[str]:
    """What the key may not do and nself does."""
    found = list[str]()
    for one in permissions:
        if one.read == "no":
            found.append(f"read {one.resource}")
        if one.write == "no":
            found.append(f"write {one.resource}")
    return found


def key_mode(text: str) -> str | None:
    """`test` or `live` by the prefix; None for anything else."""
    parts = text.split("_")
    return parts[1] if len(parts) > 2 and parts[0] in ("sk", "rk", "pk") and parts[1] in ("test", "live") else None


def kind_of_key(text: str) -> str:
    """In words."""
    kinds = {"sk_": "secret", "rk_": "restricted", "pk_": "publishable", "whsec_": "webhook secret"}
    found = next((kind for prefix, kind in kinds.items() if text.startswith(prefix)), "unknown" if text else "none")
    mode = next((mode for mode in ("test", "live") if f"_{mode}_" in text[:8]), "")
    return f"{found} key, {mode} mode" if mode else found


def unresolved(host: str, proxy: str | None) -> tuple[str, str]:
    """Cause and help."""
    if proxy:
        return f"HTTPS_PROXY: the name {host} is not known", "nself env get HTTPS_PROXY"
    return f"DNS does not know {host}: the resolver is away, or /etc/resolv.conf names a wrong one", f"nslookup {host}"


def unreached(where: str, proxy: str | None, detail: str, *, loopback: bool) -> tuple[str, str]:
    """Cause and help."""
    if loopback:
        return f"nothing listens at {where}: {detail}", "nself start stripe-mock"
    if proxy:
        return f"HTTPS_PROXY: {where} does not accept connections: {detail}", "nself env get HTTPS_PROXY"
    if "unreachable" in detail:
        return f"Network is unreachable: this machine has no way to {where}", f"ip route get {where.rpartition(':')[0]}"
    if "reset" in detail:
        return f"Connection lost: {where} resets connections", "nself billing stripe test-connection"
    if "refused" in detail:
        return f"{where} refuses connections: a firewall answers in its place", "sudo iptables -L OUTPUT -n"
    return f"Connection timeout: {where} does not answer; a firewall drops outbound HTTPS", "sudo iptables -L OUTPUT -n"


def insecure(error: Exception) -> tuple[str, str]:
    """Cause and help."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"The certificate is not Stripe's: something intercepts the connection ({error})",
            "nself env get HTTPS_PROXY",
        )
    return f"No TLS was agreed on: {error}", "nself billing stripe show-config"


def skew_in_words(skew: int, refused: float) -> str:
    """`skew`: seconds that our clock is ahead; from `refused` on Stripe's signatures look forged."""
    if abs(skew) <= 1:
        return "the same as Stripe's"
    said = f"{abs(skew)} s {'ahead of' if skew > 0 else 'behind'} Stripe's"
    if abs(skew) > refused:
        return f"{said}: webhook signatures look too old or forged; let chrony or systemd-timesyncd set the clock"
    return f"{said}; webhooks are refused from more than {refused:g} s on" if abs(skew) > SKEW_TOLD else said


def endpoints_in_words(found: Sequence[Snapshot], usable: Sequence[Snapshot]) -> str:
    """Those at Stripe, and those of them that reach us."""
    if not usable:
        return f"{len(found)} at Stripe, none is enabled and sends to {WEBHOOK_PATHS[0]}"
    more = f"; {len(usable)} of them bring each event several times" if len(usable) > 1 else ""
    return f"{usable[0]['url']}{more}"


def per_second(calls: int, seconds: int) -> Decimal:
    """With two digits."""
    return (Decimal(calls) * Decimal(100) // seconds).scaleb(-2)


MANY_REFUSED, MANY_LOOKED_UP, SMALL_PAGE = 3, 100, 10
SAFE_SHARE = Decimal("0.8")
SUSTAINED = 5
"""Refused in each of so many minutes: one without ends it."""
RARELY_CHANGE = frozenset({"prices", "products", "tax_rates"})


def pressure(settings: Settings, minutes: Sequence[Minute], now: datetime) -> Pressure:
    """Of the measured calls to Stripe, labelled method, collection, outcome. A refusal or two that went well later are none."""
    refused = [one for one in minutes if one.labels[-1] == "rate_limit"]
    calls, times = sum(one.count for one in minutes), sum(one.count for one in refused)
    if times < MANY_REFUSED:
        return Pressure(calls, times, {})
    looked_up = sum(one.count for one in minutes if one.labels[1] in RARELY_CHANGE and one.labels[0] == "get")
    odd = dict(_odd_rates(settings, refused, now))
    if looked_up >= MANY_LOOKED_UP and 2 * looked_up > calls and not settings.flag("STRIPE_ENABLE_CACHE"):
        what = "prices, products and tax rates"
        odd["1.3.4"] = f"{looked_up} of them asked for {what} while STRIPE_ENABLE_CACHE is off"
    return Pressure(calls, times, odd)


def _odd_rates(settings: Settings, refused: Sequence[Minute], now: datetime) -> Iterator[tuple[str, str]]:
    """Root causes and what shows them."""
    buffer, size = settings.decimal("STRIPE_RATE_LIMIT_BUFFER"), settings.integer("STRIPE_BATCH_SIZE")
    retries, backoff = settings.integer("STRIPE_MAX_RETRIES"), settings.text("STRIPE_RETRY_BACKOFF")
    current = now.replace(second=0, microsecond=0)
    before = {current - n * MINUTE for n in range(1, SUSTAINED + 1)}
    if buffer > SAFE_SHARE:
        yield "1.3.1", f"STRIPE_RATE_LIMIT_BUFFER is {buffer}: all that Stripe allows is used up"
    elif before <= {one.at for one in refused}:
        yield "1.3.1", f"in each of the last {SUSTAINED} minutes: another program may use the same account"
    if not retries:
        yield "1.3.2", "STRIPE_MAX_RETRIES is 0: a refused call fails"
    elif backoff != "exponential":
        yield "1.3.2", f"STRIPE_RETRY_BACKOFF is {backoff}: refused calls come again too soon"
    if size < SMALL_PAGE:
        yield "1.3.3", f"STRIPE_BATCH_SIZE is {size}: lists are read in pages of {size}"
    elif settings.flag("STRIPE_ENABLE_CACHE") and not settings.flag("STRIPE_BATCH_REQUESTS"):
        yield "1.3.3", "STRIPE_BATCH_REQUESTS is false: prices are read one by one"


def rate_note(pressed: Pressure, busiest: int, allowed: int) -> str:
    """What the figures mean."""
    if pressed.odd:
        return f"Stripe refused calls: {'; '.join(f'{why} ({id})' for id, why in pressed.odd.items())}"
    if pressed.refused:
        return "Stripe refused calls: lower STRIPE_RATE_LIMIT_BUFFER, or another program uses the same account"
    return "calls wait for their turn: much work is under way" if busiest >= allowed else "within the limit"
