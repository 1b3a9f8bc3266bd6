"""How the client fails: the product's own families and codes, and the few failures that only a client has."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nself.core.errors import BillingError, Conflict, Declined, Denied, Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from nself.client.model import Decision

FAMILIES: dict[int, type[BillingError]] = {
    401: Denied,
    402: Declined,
    403: Denied,
    404: NotFound,
    409: Conflict,
    429: Unavailable,
}


class BufferFull(Unavailable):
    code, guide = "client_buffer_full", "2.4"
    text = "The client's buffer takes no more: {detail}"
    hints = ("nself status http", "nself billing usage collector-status")


class BufferUnwritable(Unavailable):
    code, guide = "client_buffer_unwritable", "2.4"
    text = "The client's buffer cannot be written: {path}: {detail}"


class ServiceUnreachable(Unavailable):
    """`lost`: the request may have arrived, and its answer took too long."""

    code = "service_unreachable"
    text = "No answer from {url}: {detail}"
    hints = ("nself status http", "nself start billing")
    lost = False


class UnreadableAnswer(Unavailable):
    code = "unreadable_answer"
    text = "Not an answer of nself billing: HTTP {status}: {detail}"
    hints = ("nself status http",)


class ClientClosed(Conflict):
    code = "client_closed"
    text = "The client was closed"


class QuotaExceeded(Denied):
    """`decision` has limit, used, remaining and when the limit begins anew."""

    status: ClassVar[int] = 429
    code, guide = "quota_exceeded", "5.1"
    text = "Quota exceeded: {user} has {remaining} of {limit} {metric} left until {resets_at}"
    hints = ("nself billing quota status --user {user}",)

    def __init__(self, decision: Decision) -> None:
        super().__init__(
            user=decision.user,
            metric=decision.metric,
            limit=decision.limit,
            remaining=decision.remaining,
            resets_at=decision.resets_at,
        )
        self.decision = decision


def told(
    status: int, code: str, message: str, hints: list[str], request_id: str | None, param: str | None
) -> BillingError:
    """The error that a service told, in the family of its HTTP status, with its own code and hints."""
    family = FAMILIES.get(status) or (Invalid if status < 500 else Unavailable)
    error = family(detail=message, request_id=request_id)
    escaped = tuple(hint.replace("{", "{{").replace("}", "}}") for hint in hints)
    vars(error).update(code=code, hints=escaped, status=status, param=param)
    return error
