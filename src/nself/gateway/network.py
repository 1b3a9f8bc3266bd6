"""Why no answer came, and whether the request had been sent: reads what `requests` and `urllib3` raise."""

from __future__ import annotations

import requests.exceptions as raised
import urllib3.exceptions as inner

from nself.gateway.answers import no_answer
from nself.gateway.errors import NoAnswer, SandboxUnreachable, TimedOut
from nself.gateway.guard import Access


def _chain(error: BaseException | None) -> list[BaseException]:
    """`error` with all that it wraps, outermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        wrapped = getattr(error, "reason", None) or next(iter(error.args), None)
        error = wrapped if isinstance(wrapped, BaseException) else error.__cause__
    return found


def _words(chain: list[BaseException]) -> str:
    """The operating system's words, such as `Connection refused`."""
    told = [error.strerror for error in chain if isinstance(error, OSError) and error.strerror]
    return told[-1] if told else "Connection failed"


def explain(error: BaseException | None, access: Access, timeout: float, *, changing: bool) -> NoAnswer:
    """The failure for what the HTTP library raised; `timeout` in seconds."""
    chain, host = _chain(error), access.host

    def among(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in chain)

    if among(raised.TooManyRedirects):
        detail = f"{host} redirects elsewhere: it is not Stripe's API"
        return no_answer(NoAnswer(detail=detail), sent=False, changing=changing, again=False)
    if among(raised.SSLError) and any("CERTIFICATE_VERIFY_FAILED" in str(one) for one in chain):
        detail = f"The certificate of {host} is not valid: something may intercept the connection"
        return no_answer(NoAnswer(detail=detail), sent=False, changing=changing, again=False)
    if among(raised.ConnectTimeout):
        failure = TimedOut(detail=f"{host} could not be reached")
        return no_answer(failure, sent=False, changing=changing)
    if among(raised.ReadTimeout, inner.ReadTimeoutError):
        failure = TimedOut(detail=f"no answer from {host} within {timeout:g} seconds")
        return no_answer(failure, sent=True, changing=changing)
    if among(raised.ProxyError):
        failure = NoAnswer(detail=f"The proxy refuses connections to {host}")
        return no_answer(failure, sent=False, changing=changing)
    if among(inner.NewConnectionError):
        kind = SandboxUnreachable if access.loopback else NoAnswer
        return no_answer(kind(detail=f"{_words(chain)}: {host}"), sent=False, changing=changing)
    if isinstance(error, ValueError):  # an address or header that cannot be sent
        failure = NoAnswer(detail=f"The request to {host} could not be built: {type(error).__name__}")
        return no_answer(failure, sent=False, changing=changing, again=False)
    failure = NoAnswer(detail=f"Connection lost: {host} ended it before a whole answer came")
    return no_answer(failure, sent=True, changing=changing)
