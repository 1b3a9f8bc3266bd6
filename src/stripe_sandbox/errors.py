"""Stripe's errors: each one knows its HTTP status and whether the idempotency layer keeps it."""

from typing import Any, Literal

ErrorType = Literal["api_error", "card_error", "idempotency_error", "invalid_request_error"]


class StripeError(Exception):
    """An answer that is not a success, in the shape `{"error": {...}}`."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: ErrorType = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        commits: bool = False,
        headers: dict[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.commits = commits  # a declined card is an error, yet what it changed stays
        self.headers = headers or {}
        self.details = details

    def body(self, request_id: str) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param is not None:
            error["param"] = self.param
        error.update(self.details)
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": error}


class InvalidParameters(StripeError):
    """Refused before execution began, so the idempotency key stays free."""


def unsupported(part: str) -> StripeError:
    """What this sandbox does not do. It says so; it never makes an answer up."""
    return StripeError(
        f"The sandbox does not support {part}.",
        status=501,
        type="api_error",
        code="sandbox_unsupported",
        headers={"Stripe-Should-Retry": "false"},
    )


def no_such(title: str, identifier: str, param: str, *, status: int = 400) -> StripeError:
    return StripeError(f"No such {title}: '{identifier}'", status=status, code="resource_missing", param=param)


def card_error(message: str, code: str, decline_code: str | None = None, **details: Any) -> StripeError:
    if decline_code is not None:
        details["decline_code"] = decline_code
    return StripeError(message, status=402, type="card_error", code=code, commits=True, **details)
