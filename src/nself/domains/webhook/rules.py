"""Decisions about webhooks: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from nself.core.errors import InvalidParameter
from nself.core.redact import redact
from nself.core.settings import YEAR, seconds
from nself.domains.mirror import rules as mirror
from nself.domains.mirror.model import ListedChange
from nself.domains.webhook.model import (
    Arrival,
    Backlog,
    Failure,
    Moment,
    Order,
    Problem,
    Refusal,
    Repeats,
    Seen,
    SlowEvent,
    Stage,
    Twin,
)

CLIENT_SECRET = re.compile(r'("client_secret"\s*:\s*)"[^"]*"')
LATE = timedelta(minutes=5)
"""A lag that is told as a problem (facts.md, section 5)."""
CAUSES = {
    "wrong_secret": "wrong webhook secret: it was signed with another one than STRIPE_WEBHOOK_SECRET",
    "secret_not_escaped": "secret not properly escaped: STRIPE_WEBHOOK_SECRET holds quotes, blanks or backslashes beside the secret",
    "no_secret": "STRIPE_WEBHOOK_SECRET is not set",
    "own_test": "our own test: test-signature sends one that must be refused",
    "unsigned": "without a signature of Stripe's: it was not sent by Stripe",
    "body_too_large": "the body is larger than WEBHOOK_MAX_BODY",
    "webhook_unreadable": "signed, but no event of Stripe's",
}
COMMANDS = {
    "wrong_secret": "nself billing webhook rotate-secret",
    "secret_not_escaped": "nself billing webhook show-secret",
    "no_secret": "nself env set STRIPE_WEBHOOK_SECRET --stdin",
    "clock_skew": "nself billing webhook test-signature",
    "body_too_large": "nself env set WEBHOOK_MAX_BODY=4M",
}
SLOWEST = {
    "delivery": "delivery: Stripe sends late, or could not reach the endpoint before: nself billing webhook status",
    "waiting": "waiting: the worker does not keep up, or was away: nself billing webhook queue-status",
    "stripe": "stripe: calls to Stripe's API take the time: nself billing stripe test-connection",
    "storing": "storing: database queries take the time: nself db query",
}
SLOW_STORING_MS, SLOW_CALLS_MS = 3000, 5000
"""Of one event: what no healthy system takes."""
TIMED_OUT = "webhook_timeout:"
"""Begins the error of an event that was given up at WEBHOOK_TIMEOUT."""


def without_client_secret(event: str) -> str:
    """The JSON of an event: with that secret whoever reads the table could pay, and see how."""
    return CLIENT_SECRET.sub(r"\1null", event) if "client_secret" in event else event


def readable(payload: str) -> object:
    """The JSON of an event without secrets and card numbers."""
    return _without_secrets(msgspec.json.decode(payload))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(one) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_without_secrets(one) for one in cast("list[Any]", value)]
    return redact(value) if isinstance(value, str) else value


def grouped(refused: Iterable[Refusal]) -> list[Refusal]:
    """Like ones as one, with how often they came; in their order."""
    found = dict[tuple[str, str, int | None, str | None], Refusal]()
    for one in refused:
        key = (one.code, one.reason, one.skew, one.event_id)
        before = found.get(key)
        found[key] = msgspec.structs.replace(one, times=before.times + one.times) if before else one
    return list(found.values())


def milliseconds(text: str, param: str) -> int:
    """A duration of at most a year. Raises InvalidParameter."""
    try:
        found = seconds(text)
        if found > YEAR:
            raise ValueError("it is longer than 366 days")
    except ValueError as error:
        raise InvalidParameter(f"Invalid {param}: {text[:40]}: {error}", param) from None
    return round(found * 1000)


# What went wrong, by its cause


def cause(reason: str, skew: int | None) -> str:
    """Why a delivery was refused, in the guide's words."""
    if reason == "clock_skew" and skew is not None:
        side = "ahead of" if skew > 0 else "behind"
        return f"clock skew between servers: our clock is {abs(skew)} s {side} the signature's (date -u)"
    return CAUSES.get(reason, reason)


def explained(one: Failure) -> Failure:
    return msgspec.structs.replace(one, cause=cause(one.reason, one.skew)) if one.what == "refused" else one


def refusal_problems(refused: Iterable[Refusal], rivals: Sequence[str], delivered_at: datetime | None) -> list[Problem]:
    """`rivals`: endpoints that send here too, each with a secret of its own; `delivered_at`: when Stripe's last was taken."""
    found: list[Problem] = []
    for one in refused:
        if one.reason in ("unsigned", "own_test"):  # strangers tell nothing of our set-up
            continue
        why = cause(one.reason, one.skew)
        if one.reason == "wrong_secret" and rivals:
            why = f"multiple webhook endpoints configured: {', '.join(rivals)} send here, each signing with a secret of its own"
        detail = f"{one.times} deliveries refused, the last at {one.refused_at:%Y-%m-%dT%H:%M:%SZ}"
        if delivered_at and delivered_at > one.refused_at:
            detail += f"; since then others were accepted, the last at {delivered_at:%Y-%m-%dT%H:%M:%SZ}"
        found.append(
            Problem(
                cause=why,
                detail=detail,
                command="nself billing webhook list-endpoints"
                if rivals
                else COMMANDS.get(one.reason, "nself billing webhook failures"),
            )
        )
    return found


NOT_ESCAPED = "not properly escaped"


def secret_note(secret: str) -> str:
    """What is odd about a webhook secret; empty where nothing is."""
    if re.search(r"[\s\"'`\\]", secret):
        return f"{NOT_ESCAPED}: it holds quotes, blanks or backslashes"
    if not secret.startswith("whsec_"):
        return "Stripe's webhook secrets start with whsec_"
    return "a placeholder" if "PLACEHOLDER" in secret.upper() else ""


# Order and time


def order(object: str, seen: Sequence[Seen], problems: list[str]) -> Order:
    """How events in order of arrival lie against the order in which they were made."""
    rows, newest = list[Arrival](), None
    overtaken = same = 0
    for one in seen:
        word = "in order"
        if newest is not None and one.created_at < newest:
            word, overtaken = "older than one before it", overtaken + 1
        elif newest is not None and one.created_at == newest:
            word, same = "same second as one before it", same + 1
        newest = max(newest or one.created_at, one.created_at)
        rows.append(
            Arrival(
                event=one.event,
                type=one.type,
                created_at=one.created_at,
                received_at=one.received_at,
                delay_seconds=int((one.received_at - one.created_at).total_seconds()),
                status=one.status,
                order=word,
            )
        )
    return Order(
        object=object,
        events=len(seen),
        overtaken=overtaken,
        same_second=same,
        delivered_again=sum(1 for one in seen if one.deliveries > 1),
        never_delivered=sum(1 for one in seen if one.source == "poll" and not one.deliveries),
        verdict=_verdict(overtaken, same),
        problems=problems,
        arrivals=rows,
    )


def _verdict(overtaken: int, same: int) -> str:
    said = "arrived in the order in which Stripe made them"
    if overtaken:
        said = f"{overtaken} arrived after younger ones"
    elif same:
        said = f"{same} share a second with the one before: nobody can tell their order"
    return f"{said}; the object is always stored as Stripe has it when it is processed, whatever the order"


def slowest(stages: Sequence[Stage]) -> str:
    """The stage that makes most of the slow ones."""
    parts = [one for one in stages if one.stage != "total"]
    if not parts:
        return "nothing was processed"
    return SLOWEST[max(parts, key=lambda one: one.p95_ms).stage]


def slow_cause(one: SlowEvent) -> SlowEvent:
    """With the part that took most of it; the row's own cause is its status."""
    if one.cause != "processed":
        text = (
            f"{one.cause}: not processed yet" if one.cause == "received" else f"{one.cause}: tried {one.attempts} times"
        )
    elif one.attempts > 1:
        text = f"tried {one.attempts} times before it went well"
    else:
        parts = {"waited for the worker": one.waited_ms, "calls to Stripe": one.stripe_ms, "storing": one.stored_ms}
        text = max(parts, key=lambda name: parts[name])
    return msgspec.structs.replace(one, cause=text)


def slow_storing(worked: Sequence[SlowEvent]) -> str:
    """What shows that the database makes events slow now; empty where it does not. Newest first."""
    done = [one for one in worked if one.cause == "processed"]
    return _slow([(one.event, one.stored_ms) for one in done], SLOW_STORING_MS, "in the database")


def slow_calls(worked: Sequence[SlowEvent]) -> str:
    """The same of calls to Stripe, also of those that did not end in time."""
    late = [one for one in worked if one.cause.startswith(TIMED_OUT)]
    if late:
        return f"{late[0].event} ({late[0].object}): {late[0].cause}; {len(late)} events wait for that"
    done = [one for one in worked if one.cause == "processed"]
    return _slow([(one.event, one.stripe_ms) for one in done], SLOW_CALLS_MS, "in calls to Stripe")


def _slow(found: Sequence[tuple[str, int]], limit: int, where: str) -> str:
    """The newest is slow, and so is every other one: a single slow event tells nothing."""
    slow = [(event, took) for event, took in found if took >= limit]
    if len(slow) < 2 or 2 * len(slow) < len(found) or slow[0] != found[0]:
        return ""
    event, took = slow[0]
    return f"{len(slow)} of the newest {len(found)} events took long {where}, {event} {took / 1000:.1f} s"


def oddity(unmarked: bool) -> str:
    """What is wrong with an event that counts as odd."""
    if unmarked:
        return "what it changed is stored, but it is not marked as processed"
    return "two workers processed it at the same time, and both changed the object"


def once_verdict(twins: Sequence[Twin], unmarked: Sequence[bool]) -> str:
    """Whether an event had its effects once. `unmarked`: of it, where it counts as odd."""
    mend = "nself billing webhook deduplicate --execute"
    if unmarked:
        return f"{oddity(unmarked[0])}: {mend}"
    if twins:
        return f"{', '.join(one.event for one in twins)} says the same and was stored too: {mend}"
    return "processed once, with its effects"


def queue_verdict(found: Backlog, lag: int, working: bool) -> str:
    """In a sentence, with the command that helps."""
    if not working and found.waiting + found.retrying:
        return "the worker does not run: nself start billing"
    if found.dead:
        return f"{found.dead} were given up: nself billing webhook failures, then nself billing webhook replay --status failed"
    if found.retrying:
        return f"{found.retrying} failed and are tried again: nself billing webhook failures"
    if lag > LATE.total_seconds():
        return "the worker does not keep up: nself billing webhook show-timing"
    return "up to date" if not found.waiting else "being processed"


def duplicates_verdict(found: Repeats, twins: int) -> str:
    """In a sentence."""
    if found.stored_twice:
        return f"{found.stored_twice} events are stored twice: the index billing_webhook_events_once is missing"
    if twins:
        return f"{twins} say what another event says: nself billing webhook deduplicate --execute"
    if found.repeats:
        return f"no duplicates: {found.repeats} repeated deliveries were recognised by their event id and counted once"
    return "no duplicates"


# The life of an object


def moments(seen: Sequence[Seen], changes: Sequence[ListedChange]) -> list[Moment]:
    """Events and what was changed, in order of time; a change after the event that caused it."""
    found = [(one.received_at, 0, _arrived(one)) for one in seen]
    found += [(one.changed_at, 1, _changed(one)) for one in changes]
    return [moment for _, _, moment in sorted(found, key=lambda row: row[:2])]


def _arrived(one: Seen) -> Moment:
    parts = [f"made {one.created_at:%Y-%m-%dT%H:%M:%SZ}"]
    if one.source == "poll" and not one.deliveries:
        parts.append("never delivered, found in Stripe's list")
    parts.append(f"delay {max(0, int((one.received_at - one.created_at).total_seconds()))} s")
    if one.deliveries > 1:
        parts.append(f"delivered {one.deliveries} times, counted once")
    state = one.status
    if one.processed_at:
        state += f" after {(one.processed_at - one.received_at).total_seconds():.1f} s"
    if one.attempts:
        state += f", attempt {one.attempts}"
    return Moment(
        at=one.received_at,
        what=one.type,
        by=one.event,
        detail="; ".join([*parts, state, *([one.error] if one.error else [])]),
    )


def _changed(one: ListedChange) -> Moment:
    return Moment(at=one.changed_at, what=f"{one.kind} {one.what}", by=one.source, detail=mirror.told(one))
