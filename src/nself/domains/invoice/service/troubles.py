"""What kept invoices from being made: refused steps, drafts that cannot be finalised, tax."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from nself.app import App
from nself.core import settings
from nself.core.errors import InvalidParameter
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import part
from nself.domains.invoice import formulas, store
from nself.domains.invoice.inputs import ShowErrors
from nself.domains.invoice.model import FailedStep

MOST_DRAFTS = 1000


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `invoice errors`."""

    at: datetime
    invoice: str | None
    code: str
    cause: str
    command: str


def errors(app: App, given: ShowErrors) -> list[Trouble]:
    """Newest first, each with its cause and the command that helps. Drafts are named however old. Raises InvalidParameter."""
    try:
        since = app.clock() - timedelta(seconds=settings.seconds(given.last))
    except (ValueError, OverflowError):
        raise InvalidParameter(f"Invalid duration: {given.last} (like 24h)", "last") from None
    with app.db.reading() as tx:
        failed = store.failed_steps(tx, app.settings.live, since, given.limit)
        drafts = store.drafts(tx, app.settings.live, MOST_DRAFTS)
    found = [
        Trouble(
            at=one.at,
            invoice=one.invoice,
            code=one.code,
            cause=one.error,
            command=_helps(one),
        )
        for one in failed
    ]
    found += [one for draft in drafts for one in _of_draft(draft)]
    return sorted(found, key=lambda one: one.at, reverse=True)[: given.limit]


def _helps(one: FailedStep) -> str:
    if not one.invoice:
        return "nself billing stripe intents --state failed"
    if one.declined:
        return f"nself billing invoice pay {one.invoice} --retry"
    return f"nself billing invoice show {one.invoice} --verbose"


def _of_draft(draft: Snapshot) -> list[Trouble]:
    at, id = datetime.fromtimestamp(draft["created"], UTC), draft["id"]
    found = [
        Trouble(at=at, invoice=id, code=one.code, cause=one.text, command=one.command)
        for one in formulas.problems(draft)
        if one.fatal or one.code == "invoice_zero_amount"
    ]
    error = part(draft, "last_finalization_error")
    if error and error.get("code") not in {one.code for one in found}:
        cause = str(error.get("message") or "it could not be finalised")
        command = f"nself billing invoice finalize {id}"
        found.append(Trouble(at=at, invoice=id, code=str(error.get("code")), cause=cause, command=command))
    return found
