"""Before anything is sent: do key, mode and host agree? Pure: reads settings, opens nothing."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from nself import log
from nself.core.errors import InvalidParameter, MissingParameter
from nself.core.hosts import LOOPBACK
from nself.core.settings import InvalidSetting, Settings, mask
from nself.gateway.answers import no_such
from nself.gateway.errors import InvalidApiKey, LiveKeyKeptBack, LiveModeMismatch, NotConfigured

STRIPES_HOST = re.compile(r"https://(?:[a-z0-9-]+\.)*stripe\.com(?::443)?", re.IGNORECASE)
"""The whole address, so that no user part, path or odd character can hide another host."""
ADDRESS = re.compile(r"https?://[^\s\\@?#]+")
KEY = re.compile(r"(sk|rk)_(test|live)_[\x21-\x7e]{1,250}")
OBJECT_ID = re.compile(r"[A-Za-z0-9_][\x21-\x7e]{0,254}")
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Access(NamedTuple):
    """Checked: `key` may be sent to `base` (no trailing slash), and is one of the mode that `live` names."""

    key: str
    base: str
    live: bool

    @property
    def shown(self) -> str:
        """The key, masked."""
        return mask(self.key)

    @property
    def host(self) -> str:
        return urlsplit(self.base).netloc

    @property
    def loopback(self) -> bool:
        return urlsplit(self.base).hostname in LOOPBACK


def _well_formed(key: str) -> None:
    """Raises InvalidApiKey with what is wrong in words."""
    if key.startswith("pk_"):
        raise InvalidApiKey(key=mask(key), detail=" (a publishable key; calls need the secret one)")
    if not KEY.fullmatch(key):
        blanks = re.search(r"[^\x21-\x7e]", key)
        odd = "it holds blanks or invisible characters" if blanks else "keys begin with sk_test_ or sk_live_"
        raise InvalidApiKey(key=mask(key), detail=f" ({odd})")


def _base(settings: Settings) -> str:
    base = settings.stripe_api_base
    try:
        usable = ADDRESS.fullmatch(base) and urlsplit(base).hostname and (urlsplit(base).port or 1)
    except ValueError:
        usable = False
    if not usable:
        raise InvalidSetting(
            name="STRIPE_API_BASE",
            value=log.redact(base),
            wanted="an http or https address is needed",
            origin=settings.value("STRIPE_API_BASE").origin,
        )
    return base


def access(settings: Settings) -> Access:
    """What the settings allow. Raises Denied (exit 4) or InvalidSetting, before any I/O."""
    value = settings.value("STRIPE_SECRET_KEY")
    base, live = _base(settings), settings.live
    at_stripe = bool(STRIPES_HOST.fullmatch(base))
    if not value.text:
        raise NotConfigured(key="(none)", detail="STRIPE_SECRET_KEY is not set")
    _well_formed(value.text)
    if value.odd:
        log.warning("stripe_key_odd", setting="STRIPE_SECRET_KEY", origin=value.origin, odd=value.odd)
    shown, live_key = mask(value.text), "_live_" in value.text[:8]
    if at_stripe and "PLACEHOLDER" in value.text.upper():
        raise NotConfigured(key=shown, detail=f"the key from {value.origin} is a placeholder")
    if live_key and not at_stripe:
        raise LiveKeyKeptBack(base=log.redact(base))
    if live_key != live:
        mode, other = ("live", "test") if live else ("test", "live")
        detail = f"STRIPE_MODE is {mode}, but STRIPE_SECRET_KEY from {value.origin} is a {other} mode key: {shown}"
        raise LiveModeMismatch(detail=detail)
    return Access(value.text, base, live)


def object_id(kind: str, id: str) -> str:
    """`id` as one part of a path. Raises NotFound in Stripe's words when it cannot be one."""
    if not OBJECT_ID.fullmatch(id):
        raise no_such(kind, repr(id[:80]))
    return quote(id, safe="")


def idempotency_key(key: str | None) -> str:
    """Raises Invalid: a change without a key could happen twice."""
    if not key:
        raise MissingParameter("idempotency_key")
    if not IDEMPOTENCY_KEY.fullmatch(key):
        detail = "Invalid idempotency key: 1 to 255 visible characters are needed"
        raise InvalidParameter(detail, "idempotency_key")
    return key


def same_mode(snapshot: dict[str, Any], live: bool, *, changing: bool, request_id: str | None) -> None:
    """Raises LiveModeMismatch for an object of the other mode, which must never be stored here."""
    if snapshot.get("livemode", live) is not live:
        mode, other = ("live", "test") if live else ("test", "live")
        kind, id = snapshot.get("object", "object"), snapshot.get("id", "")
        failure = LiveModeMismatch(detail=f"STRIPE_MODE is {mode}, but {kind} {id} is one of {other} mode")
        failure.outcome_unknown, failure.request_id = changing, request_id
        raise failure
