"""Who may what in the terminal: BILLING_TERMINAL_ROLES, with the roles of the dashboard."""

from __future__ import annotations

from nself.app import App
from nself.core.entrypoint import Command
from nself.core.errors import BillingError
from nself.core.roles import ROLES, by_login, may

OWNERS = ("billing operator ", "billing api-key ", "env set", "env unset", "exec", "db restore")
LOOKS = frozenset(
    "aggregation-status archives audit calculate-overage check check-duplicates collector-status compare count decline-reason deliveries"
    " doctor download errors events explain failures find-gaps find-inconsistencies find-orphaned get health intents journal last-reset"
    " list list-endpoints list-metrics list-rates log logs metrics missing-indexes next-reset operations pdf-status performance ping"
    " preview preview-change prorations queue-status rate-limits requests retrieve revenue show simulate-change slow slow-queries"
    " snapshots status test-connection test-enforce test-key test-signature timeline totals track trial-eligibility upcoming uptime"
    " verify-queue-empty".split()
)
"""Last words of commands that change nothing, where they are not audited; those that begin with `show-` are so too."""


def needed(row: Command) -> str:
    from nself.web import pages

    word = row.path.split()[-1]
    if not row.audited and (word in LOOKS or word.startswith("show-")):
        return "read-only"
    return "owner" if f"{row.path} ".startswith(OWNERS) else pages.needed(row.path)


def check(app: App, row: Command) -> None:
    """Raises TerminalRoleLacks, InvalidSetting."""
    try:
        settings = app.settings
    except BillingError:  # nothing is known of this project; the command itself tells so
        return
    if not (roles := by_login(settings.text("BILLING_TERMINAL_ROLES"))):
        return
    from nself.domains.operator.model import TerminalRoleLacks

    login, wanted = app.operator(), needed(row)
    role = roles.get(login, roles.get("*", ROLES[0]))
    if not may(role, wanted):
        raise TerminalRoleLacks(login=login, role=role, needed=wanted)
