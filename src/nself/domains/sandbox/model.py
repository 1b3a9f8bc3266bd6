"""Nouns and errors of the demonstration."""

from __future__ import annotations

from nself.core.errors import Denied, Unavailable


class TestModeOnly(Denied):
    code, guide = "test_mode_only", "9.1"
    text = "The demonstration works in test mode only; STRIPE_MODE is live here"
    hints = ("nself env get STRIPE_MODE",)


class WebhooksLate(Unavailable):
    code, guide = "webhooks_late", "6.1"
    text = "Not all webhooks were delivered and processed within {seconds:g} s"
    hints = ("nself billing webhook status", "nself status billing", "nself logs worker --tail 50")
