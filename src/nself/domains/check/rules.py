"""Which mode a thing is of, and what differs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nself.core.settings import BY_NAME, Settings, mask
from nself.domains.check.model import Count
from nself.domains.connection.rules import key_mode

TEST, LIVE = "test", "live"
KEYS = {"STRIPE_SECRET_KEY": ("sk", "rk"), "STRIPE_PUBLISHABLE_KEY": ("pk",)}
EXAMPLES = {"STRIPE_SECRET_KEY": "sk_{mode}_...", "STRIPE_PUBLISHABLE_KEY": "pk_{mode}_..."}


def shown_key(settings: Settings, name: str) -> str:
    value = settings.value(name)
    return f"{key_mode(value.text) or 'no'} mode: {mask(value.text)} ({value.origin})" if value.text else "not set"


def key_problems(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Root causes 9.1.1 to 9.1.4, as far as settings show them."""
    mode = settings.text("STRIPE_MODE")
    if settings.value("STRIPE_MODE").origin == "default":
        yield f"mode not set: STRIPE_MODE is {mode} by default - nself env set STRIPE_MODE={mode}"
    for name in KEYS:
        text = settings.value(name).text
        command = f"nself env set {name}={EXAMPLES[name].format(mode=mode)}"
        if text and not text.startswith(tuple(f"{prefix}_" for prefix in KEYS[name])):
            yield f"wrong environment variable: {name} holds another kind of key - {command}"
        elif text and key_mode(text) == LIVE and mode == TEST:
            yield f"using live API key: {name} is a live mode key, STRIPE_MODE is test - {command}"
        elif text and key_mode(text) == TEST and mode == LIVE:
            yield f"key leaked to production: {name} is a test mode key, STRIPE_MODE is live - {command}"
    yield from _strangers(settings, environ)


def strangers(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Names like that of a key that nobody reads."""
    given = {*environ, *settings.values} - BY_NAME.keys()
    return sorted(name for name in given if name.startswith("STRIPE") and name.endswith(("KEY", "SECRET")))


def _strangers(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    for name in strangers(settings, environ):
        yield f"wrong environment variable: {name} is read by nobody - nself env set STRIPE_SECRET_KEY --stdin"
    if not settings.value("STRIPE_SECRET_KEY").text:
        yield "wrong environment variable: STRIPE_SECRET_KEY is not set - nself env set STRIPE_SECRET_KEY --stdin"


def row_problems(mode: str, rows: Count) -> Iterator[str]:
    if mode == LIVE and rows.test:
        yield f"test data in production: {rows.test} rows of test mode - nself billing stripe show-config"
    if mode == TEST and rows.live:
        yield f"production data under test mode: {rows.live} rows of live mode - nself env set STRIPE_MODE=live"
