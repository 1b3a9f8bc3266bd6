"""What hands do in Stripe's Dashboard: keys, edits, deliveries; and the sandbox's content as a whole."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote, urlencode

from nself import log
from nself.app import App
from nself.core.errors import InvalidParameter
from nself.domains.sandbox import rules
from nself.domains.sandbox.inputs import (
    EditObject,
    ListDeliveries,
    ListSnapshots,
    NameSnapshot,
    ResendEvent,
    RestrictKey,
    RevokeKey,
    SeedSandbox,
    TriggerEvent,
)
from nself.domains.sandbox.model import (
    KeyChanged,
    Resent,
    SandboxDelivery,
    SavedSnapshot,
    Seeded,
    SnapshotRestored,
    SnapshotSaved,
    StripeObject,
    TriggeredEvent,
)
from nself.domains.sandbox.service.reach import ask, instant
from nself.domains.sandbox.store import Answer


def revoke_key(app: App, given: RevokeKey) -> KeyChanged:
    """It is refused from now on. Raises TestModeOnly, SandboxAway, InvalidParameter."""
    return _end_key(app, given, "revoked")


def expire_key(app: App, given: RevokeKey) -> KeyChanged:
    """It is refused as expired from now on. Raises TestModeOnly, SandboxAway, InvalidParameter."""
    return _end_key(app, given, "expired")


def _end_key(app: App, given: RevokeKey, standing: Literal["revoked", "expired"]) -> KeyChanged:
    done = ask(app, "POST", "keys/revoke", {"key": _key(app, given.key), "standing": standing})
    log.info("sandbox_key_changed", standing=standing)
    return KeyChanged(key=done["key"], standing=done["standing"])


def restrict_key(app: App, given: RestrictKey) -> KeyChanged:
    """A restricted key may do only this. Raises TestModeOnly, SandboxAway, InvalidParameter, SandboxRefused."""
    wish = {"key": _key(app, given.key), "permissions": rules.permissions(given.allow)}
    done = ask(app, "POST", "keys/restrict", wish)
    return KeyChanged(key=done["key"], standing="restricted", permissions=done["permissions"])


def _key(app: App, given: str | None) -> str:
    return rules.test_key(given or app.settings.text("STRIPE_SECRET_KEY"))


def edit(app: App, given: EditObject) -> StripeObject:
    """The object after a change by hand. Raises TestModeOnly, SandboxAway, NotInSandbox, SandboxRefused."""
    if given.delete == bool(given.set):
        raise InvalidParameter("Exactly one of --set and --delete is needed", "set")
    wish = {
        "kind": given.kind,
        "id": given.id,
        "changes": rules.changes(given.set),
        "delete": given.delete,
        "webhook": given.webhook,
    }
    edited = StripeObject(ask(app, "POST", "edit", wish))
    log.info("sandbox_edited", object=given.id, deleted=given.delete, webhook=given.webhook)
    return edited


def list_deliveries(app: App, given: ListDeliveries) -> list[SandboxDelivery]:
    """Newest first. Raises TestModeOnly, SandboxAway."""
    wanted = {"event": given.event, "state": given.state, "limit": given.limit}
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    return [_delivery(one) for one in ask(app, "GET", f"deliveries?{query}")["deliveries"]]


def _delivery(one: Answer) -> SandboxDelivery:
    attempts = one["attempts"]
    last = str(attempts[-1]["status"] or attempts[-1]["error"]) if attempts else None
    return SandboxDelivery(
        id=one["id"], event=one["event"], type=one["type"] or "-", endpoint=one["endpoint"], state=one["state"],
        attempts=len(attempts), last=last, due_at=instant(one["due_at"]),
    )  # fmt: skip


def resend(app: App, given: ResendEvent) -> Resent:
    """To every endpoint that wants it. Raises TestModeOnly, SandboxAway, NotInSandbox."""
    sent = ask(app, "POST", f"events/{quote(given.event, safe='')}/resend", {})
    return Resent(event=given.event, deliveries=sent["deliveries"])


def seed(app: App, given: SeedSandbox) -> Seeded:
    """Customers with cards, subscriptions and paid invoices. Raises TestModeOnly, SandboxAway, SandboxConflict."""
    return Seeded(made=ask(app, "POST", "seed", {"customers": given.customers, "seed": given.seed})["made"])


def list_snapshots(app: App, given: ListSnapshots) -> list[SavedSnapshot]:
    """Raises TestModeOnly, SandboxAway."""
    return [
        SavedSnapshot(name=one["name"], at=instant(one["at"]), bytes=one["bytes"])
        for one in ask(app, "GET", "snapshots")["snapshots"]
    ]


def save(app: App, given: NameSnapshot) -> SnapshotSaved:
    """The whole sandbox under a name; an earlier one of that name is replaced. Raises TestModeOnly, SandboxAway."""
    saved = ask(app, "POST", "snapshots", {"name": given.name})
    return SnapshotSaved(saved=saved["saved"], rows=saved["rows"])


def restore(app: App, given: NameSnapshot) -> SnapshotRestored:
    """The sandbox as it was, its clock too. Raises TestModeOnly, SandboxAway, NotInSandbox."""
    done = ask(app, "POST", f"snapshots/{given.name}/restore", {})
    log.info("sandbox_restored", snapshot=given.name)
    return SnapshotRestored(restored=done["restored"], now=instant(done["now"]))


def trigger(app: App, given: TriggerEvent) -> list[str] | list[TriggeredEvent]:
    """What occurred, oldest first; without an event the ones there are. Raises TestModeOnly, SandboxAway, NotInSandbox."""
    if given.event is None:
        return ask(app, "GET", "trigger")["events"]
    made = ask(app, "POST", "trigger", {"event": given.event})["events"]
    return [TriggeredEvent(event=one["id"], type=one["type"]) for one in made]
