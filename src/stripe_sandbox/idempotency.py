"""`Idempotency-Key`: the first status and body answer every later call with the same key and parameters."""

from dataclasses import dataclass

from stripe_sandbox.errors import InvalidParameters, StripeError
from stripe_sandbox.store import Store

_LONGEST_KEY = 255
_KEPT_FOR = 24 * 3600


@dataclass(frozen=True)
class Outcome:
    status: int
    body: bytes
    request_id: str


def check_key(key: str) -> None:
    if not 0 < len(key) <= _LONGEST_KEY:
        raise InvalidParameters(
            f"Idempotency keys must be between 1 and {_LONGEST_KEY} characters long. Yours has {len(key)}.",
            type="idempotency_error",
        )


def earlier_outcome(store: Store, key: str, path: str, params: str, now: int) -> Outcome | None:
    row = store.row(
        "SELECT path, params, status, body, request_id FROM idempotency WHERE key = ? AND created > ?",
        key, now - _KEPT_FOR,
    )  # fmt: skip
    if row is None:
        return None
    advice = f"Try using a key other than '{key}' if you meant to execute a different request."
    if row[0] != path:
        raise StripeError(
            "Keys for idempotent requests can only be used for the same endpoint they were first used for"
            f" ('{path}' vs '{row[0]}'). {advice}",
            type="idempotency_error",
        )
    if row[1] != params:
        raise StripeError(
            "Keys for idempotent requests can only be used with the same parameters they were first used with."
            f" {advice}",
            type="idempotency_error",
        )
    return Outcome(*row[2:])


def keep(store: Store, key: str, path: str, params: str, outcome: Outcome, now: int) -> None:
    """Called inside the transaction of what the call changed."""
    store.run(
        "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?)",
        key, path, params, outcome.status, outcome.body, outcome.request_id, now,
    )  # fmt: skip


def forget_old(store: Store, now: int) -> None:
    store.run("DELETE FROM idempotency WHERE created <= ?", now - _KEPT_FOR)


def in_use(key: str) -> StripeError:
    return StripeError(
        "There is currently another in-progress request using this Idempotent Key (that probably means you"
        " submitted twice, and the other request is still going through):"
        f" {key}. Please try again later.",
        status=409,
        type="idempotency_error",
        code="idempotency_key_in_use",
    )
