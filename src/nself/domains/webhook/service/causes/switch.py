"""A safety switch that is off, which several issues have as a cause."""

from __future__ import annotations

from collections.abc import Callable

from nself.diagnosis import Evidence, Look
from nself.domains.webhook.service import switches


def off(name: str) -> Callable[[Look], Evidence | None]:
    """Found where the setting is false and has an effect: in live mode it has none."""

    def detect(look: Look) -> Evidence | None:
        if switches.on(look.app, name):
            return None
        return Evidence(f"{name}=false ({look.app.settings.value(name).origin})")

    return detect


def mend(name: str) -> tuple[str, ...]:
    return (f"nself env set {name}=true", "nself restart billing")
