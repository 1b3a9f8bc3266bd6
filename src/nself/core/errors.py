"""Every failure is a value: a code, the guide's words, and the commands that help.

Six families fix the HTTP status and the exit code. A concrete error is a subclass that states its
text and hints as templates; its fields fill both, so the catalogue in docs/reference can be generated
and each hint can be parsed by the CLI's own parser in a test.
"""

from __future__ import annotations

import re
import shlex
from typing import ClassVar

from nself.core.redact import redact

FORM = re.compile(r"^Expected `\w+` matching regex '(.*)'$")
BOUND = re.compile(r"Expected `\w+` (of length )?(>=|<=) (\S+)")


class BillingError(Exception):
    """Base of all expected failures. Fields fill `text` and `hints`; they never hold a secret."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    type: ClassVar[str] = "api_error"
    code: str = "internal_error"
    text: ClassVar[str] = "{detail}"
    hints: ClassVar[tuple[str, ...]] = ()
    guide: ClassVar[str | None] = None
    param: str | None = None

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(self.text.format(**fields))

    @property
    def message(self) -> str:
        """Without the secrets that somebody sent in the wrong place: it is repeated to people, programs and logs."""
        return redact(str(self))

    @property
    def hint(self) -> tuple[str, ...]:
        """The command lines that help, ready to paste."""
        quoted = {name: shlex.quote(redact(str(value))) for name, value in self.fields.items()}
        return tuple(hint.format(**quoted) for hint in self.hints)

    def body(self, request_id: str | None = None) -> dict[str, object]:
        """The HTTP API's error object (decisions.md, "Shapes that others rely on")."""
        error: dict[str, object] = {"type": self.type, "code": self.code, "message": self.message}
        if self.param:
            error["param"] = self.param
        if self.hint:
            error["hint"] = list(self.hint)
        if self.guide:
            error["guide"] = self.guide
        if request_id:
            error["request_id"] = request_id
        return {"error": error}


def because(error: BillingError, words: str) -> BillingError:
    """`error` as the reason of what could not be done: `Unable to …: No such price: …`; code, family and hints stay."""
    if not error.message.startswith(words):
        error.args = (f"{words}: {error.message}",)
    return error


class Invalid(BillingError):
    status, exit_code, type = 400, 2, "invalid_request_error"


class NotFound(BillingError):
    status, exit_code, type = 404, 1, "invalid_request_error"


class Conflict(BillingError):
    status, exit_code, type = 409, 1, "conflict_error"


class Denied(BillingError):
    status, exit_code, type = 403, 4, "permission_error"


class SafeMode(Denied):
    code, guide = "safe_mode", "Emergency 1"
    text = "Safe mode: nothing is changed at Stripe and nobody is charged, as BILLING_SAFE_MODE is true"
    hints = ("nself env set BILLING_SAFE_MODE=false", "nself restart billing")


class Declined(BillingError):
    status, exit_code, type = 402, 1, "card_error"


class Unavailable(BillingError):
    status, exit_code, type = 503, 3, "api_connection_error"


class InvalidInteger(Invalid):
    code, guide = "parameter_invalid_integer", "10.8"
    text = "Invalid integer: {value}"

    def __init__(self, value: object, param: str | None = None) -> None:
        super().__init__(value=value)
        self.param = param


def plain(detail: str) -> str:
    """The decoder's complaint about a bound in words."""
    found = BOUND.fullmatch(detail)
    if not found:
        return FORM.sub(r"it is not of the form \1", detail)
    if found[1]:
        return "it is empty" if found[2] == ">=" else f"{found[3]} characters at most are allowed"
    return f"{found[3]} or {'more' if found[2] == '>=' else 'less'} is needed"


class InvalidParameter(Invalid):
    code = "parameter_invalid"
    text = "{detail}"

    def __init__(self, detail: str, param: str | None = None) -> None:
        super().__init__(detail=detail)
        self.param = param


class ExclusiveParameters(Invalid):
    code = "parameters_exclusive"
    text = "Give {first} or {second}, not both"

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first=first, second=second)
        self.param = second


class MissingParameter(Invalid):
    code = "parameter_missing"
    text = "Missing required parameter: {name}"

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.param = name


class UnknownParameter(Invalid):
    code = "parameter_unknown"
    text = "Received unknown parameter: {name}"

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.param = name
