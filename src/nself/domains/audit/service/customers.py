"""Audits look at what is mirrored, by rules that are stated; they change nothing and call nobody."""

from __future__ import annotations

from datetime import timedelta

from nself.app import App
from nself.core.entrypoint import Rows
from nself.domains.audit import store
from nself.domains.audit.inputs import AuditCustomers
from nself.domains.audit.model import Finding
from nself.domains.audit.rules import RULES, finding


def audit_customers(app: App, given: AuditCustomers) -> Rows[Finding]:
    """What each rule finds, the weightiest first."""
    rules = [rule for rule in RULES if given.check_fraud or not rule.fraud]
    since = app.clock() - timedelta(days=given.days)
    rows, notes = list[Finding](), list[str]()
    with app.db.reading() as tx:
        for rule in rules:
            found = store.found(tx, rule.name, app.settings.live, since, given.limit)
            rows += [finding(rule, one) for one in found]
            if len(found) == given.limit:
                notes.append(f"{rule.name}: only the first {given.limit} are shown (--limit)")
    if not rows:
        notes.append(f"nothing found by {len(rules)} rules: {', '.join(rule.name for rule in rules)}")
    return Rows(rows, notes)
