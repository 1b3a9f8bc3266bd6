"""Nouns and errors of the demonstration and the sandbox's commands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from nself.core.errors import Conflict, Declined, Denied, Invalid, NotFound, Unavailable


class StripeObject(dict[str, Any]):
    """An object as Stripe shows it; for people too it is JSON."""

    def plain(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


class ClockShown(msgspec.Struct, frozen=True, kw_only=True):
    """`ahead` is how far the sandbox's clock is before real time, in whole seconds."""

    now: datetime
    ahead: int


class EventCount(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    count: int


class ClockMoved(msgspec.Struct, frozen=True, kw_only=True):
    """`events`: what occurred on the way."""

    before: datetime
    now: datetime
    events: list[EventCount]


class StandingFault(msgspec.Struct, frozen=True, kw_only=True):
    """`remaining`: how many more calls or deliveries; None where time alone ends it."""

    id: str
    on: str
    what: str
    where: str
    remaining: int | None


class FaultsCleared(msgspec.Struct, frozen=True, kw_only=True):
    cleared: int


class KeyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """`key` is masked."""

    key: str
    standing: str
    permissions: dict[str, str] | None = None


class SandboxDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """`last` is the status or the error of the latest attempt."""

    id: str
    event: str
    type: str
    endpoint: str
    state: str
    attempts: int
    last: str | None
    due_at: datetime


class Resent(msgspec.Struct, frozen=True, kw_only=True):
    event: str
    deliveries: list[str]


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    made: dict[str, int]


class SavedSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    at: datetime
    bytes: int


class SnapshotSaved(msgspec.Struct, frozen=True, kw_only=True):
    saved: str
    rows: int


class SnapshotRestored(msgspec.Struct, frozen=True, kw_only=True):
    restored: str
    now: datetime

    def remarks(self) -> list[str]:
        return ["the local tables stay as they are; only the sandbox was put back"]


class TriggeredEvent(msgspec.Struct, frozen=True, kw_only=True):
    event: str
    type: str


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """`secret` only where the endpoint was made for this: Stripe shows it once."""

    url: str
    endpoint: str
    secret: str | None
    note: str

    def plain(self) -> str:
        told = f"> Ready! Your webhook signing secret is {self.secret}" if self.secret else "> Ready!"
        return f"{told} {self.endpoint} sends to {self.url}; {self.note} (^C to quit)"


class Forwarded(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to deliver an event; `error` where there was no answer."""

    at: datetime
    type: str
    event: str
    status: int | None
    error: str | None

    def plain(self) -> str:
        answer = f"[{self.status}]" if self.status else f"no answer: {self.error}"
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ}  {self.type} [{self.event}]  {answer}"


class PaymentConfirmed(msgspec.Struct, frozen=True, kw_only=True):
    """`steps`: what was done, in order."""

    payment_intent: str
    before: str
    status: str
    steps: list[str]


class FixturesLoaded(msgspec.Struct, frozen=True, kw_only=True):
    """`left`: so many were there already; `differing`: those of them that are not as the files say."""

    files: int
    loaded: dict[str, int]
    left: int
    differing: list[str]

    def remarks(self) -> list[str]:
        return [f"left as it is in the sandbox: {one}" for one in self.differing]


class ResetDone(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `sandbox reset`: how many objects of a kind were loaded, which settings and services changed."""

    fixtures: str | None
    loaded: dict[str, int]
    emptied: list[str]
    settings: list[str]
    settings_kept_in: str | None
    services: list[str]
    seconds: float


class TestModeOnly(Denied):
    code, guide = "test_mode_only", "9.1"
    text = "This works in test mode only; STRIPE_MODE is live here"
    hints = ("nself env get STRIPE_MODE",)


class WebhooksLate(Unavailable):
    code, guide = "webhooks_late", "6.1"
    text = "Not all webhooks were delivered and processed within {seconds:g} s"
    hints = ("nself billing webhook status", "nself status billing", "nself logs worker --tail 50")


class SandboxAway(Unavailable):
    code, guide = "sandbox_away", "9.3"
    text = "The sandbox does not answer on port {port}: {detail}"
    hints = ("nself start stripe-mock", "nself status stripe-mock", "nself env get STRIPE_MOCK_PORT")


class SandboxUnused(Conflict):
    code, guide = "sandbox_unused", "9.3"
    text = "Calls go to {base}, not to the sandbox on port {port}"
    hints = ("nself env set STRIPE_MOCK_ENABLED=true", "nself billing stripe show-config")


class NotInSandbox(NotFound):
    code, guide = "not_in_sandbox", "9.3"
    text = "{detail}"
    hints = ("nself billing sandbox --help",)


class SandboxConflict(Conflict):
    code, guide = "sandbox_conflict", "9.3"
    text = "The sandbox refuses: {detail}"
    hints = ("nself billing sandbox --help",)


class SandboxDeclined(Declined):
    code, guide = "sandbox_declined", "3.1"
    text = "{detail}"


class BadFixture(Invalid):
    code, guide = "bad_fixture", "9.3"
    text = "Nothing was loaded. {detail}"
    hints = ("nself billing sandbox load",)


class NoFixtures(NotFound):
    code, guide = "no_fixtures", "9.3"
    text = "There is no JSON file in {folder}"
    hints = ("nself billing sandbox load customers.json",)


class SandboxRefused(Invalid):
    code, guide = "sandbox_refused", "9.3"
    text = "The sandbox refuses: {detail}"
    hints = ("nself billing sandbox --help",)


class ResetUnconfirmed(Denied):
    code, guide = "confirmation_needed", "9.2"
    text = (
        "This forgets everything in the sandbox and all local data of test mode; --yes is needed. Nothing was changed"
    )
    hints = ("nself billing sandbox reset --fixtures guide --yes",)


class ResetUnderWay(Conflict):
    code, guide = "reset_under_way", "9.2"
    text = "Another command resets this sandbox at the moment"
    hints = ("nself status",)
