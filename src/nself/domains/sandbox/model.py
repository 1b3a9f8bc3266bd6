"""Nouns and errors of the demonstration and the sandbox's commands."""

from __future__ import annotations

from nself.core.errors import Denied, Invalid, Unavailable


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
