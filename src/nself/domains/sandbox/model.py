"""Nouns and errors of the demonstration and the sandbox's commands."""

from __future__ import annotations

import msgspec

from nself.core.errors import Conflict, Denied, Invalid, Unavailable


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
