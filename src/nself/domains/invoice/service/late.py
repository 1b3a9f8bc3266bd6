"""Usage that was counted after it had been invoiced."""

from __future__ import annotations

from nself.app import App
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.invoice import rules
from nself.domains.invoice.model import PlannedLine
from nself.domains.invoice.service import assess


def owed(app: App, tx: Tx, user: str, span: Period, currency: str) -> list[PlannedLine]:
    """Step: what `user` owes for `span` beyond what was billed, a line a metric. Raises BrokenCatalog, MixedCurrencies."""
    found = assess.assess(app, tx, [user], span, assess.billable_at(app, tx, span))[user]
    return [one for one in rules.lines(found.overages) if one.rated.currency == currency]
