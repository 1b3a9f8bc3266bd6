"""Errors of quotas."""

from __future__ import annotations

from nself.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from nself.domains.usage.errors import NothingDamaged
from nself.spool.errors import BufferDamaged


class NoSuchPlan(NotFound):
    code, param = "no_such_plan", "plan"
    text = "No such plan: {plan} (free, starter, pro or enterprise)"


class WhoseQuota(Invalid):
    code, guide = "parameter_missing", "5.1"
    text = "Give either --user or --plan"
    hints = ("nself billing quota set --user user123 --metric api_calls --limit 1000 --period month",)


class NoSuchReservation(NotFound):
    code, guide, param = "no_such_reservation", "5.1", "reservation"
    text = "No such reservation: {reservation}"
    hints = ("nself env get QUOTA_RESERVATION_TTL",)


class ReservationSettled(Conflict):
    code, param = "reservation_settled", "reservation"
    text = "{reservation} was {state} already{detail}"


class JournalUnsettled(Unavailable):
    code, param = "quota_journal_unsettled", "reservation"
    text = (
        "{reservation} may be among what was let through while the database was away and is not entered yet; ask again"
    )
    hints = ("nself billing quota journal", "nself restart usage-collector")


class NothingToClear(Invalid):
    code, param = "parameter_invalid", "pattern"
    text = "Invalid pattern: {pattern!r} (billing:quota:USER, billing:*, or --ttl-expired)"
    hints = ("nself cache clear billing:quota:user123",)


class ProtectedCache(Denied):
    code, guide, param = "protected_cache", "10.6", "pattern"
    text = "{pattern} is not cleared in live mode: without it a repeated request could charge twice"
    hints = ("nself cache clear 'billing:quota:*'",)


class JournalDamaged(BufferDamaged):
    code, guide = "quota_journal_damaged", "5.1"
    text = "Segment {segment} of the quota journal cannot be read at byte {offset}: {detail}; what lies behind it waits"
    hints = ("nself billing quota journal-skip", "nself billing quota journal")


class JournalSound(NothingDamaged):
    code, guide = "quota_journal_sound", "5.1"
    text = "{what} of the quota journal is not damaged; nothing was skipped"
    hints = ("nself billing quota journal",)
