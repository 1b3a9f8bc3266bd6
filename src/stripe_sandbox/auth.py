"""Who may call: test keys, until they are revoked or expire; never a live-looking key."""

import base64
import binascii
from typing import Literal

from stripe_sandbox.errors import StripeError
from stripe_sandbox.store import Store

Standing = Literal["revoked", "expired"]

_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer"
    " auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for"
    " details, or we can help at https://support.stripe.com/."
)


def check(authorization: str | None, store: Store) -> None:
    key = _key(authorization or "")
    if not key:
        raise StripeError(_NO_KEY, status=401)
    if key.startswith("pk_"):
        raise StripeError(
            "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a"
            " list of your API keys at https://dashboard.stripe.com/account/apikeys.",
            status=401,
            code="secret_key_required",
        )
    if not key.startswith(("sk_test_", "rk_test_")):
        raise StripeError(f"Invalid API Key provided: {masked(key)}", status=401)
    row = store.row("SELECT standing FROM keys WHERE key = ?", key)
    if row is not None and row[0] == "expired":
        raise StripeError(f"Expired API Key provided: {masked(key)}", status=401, code="api_key_expired")
    if row is not None:
        raise StripeError(f"Invalid API Key provided: {masked(key)}", status=401)


def set_standing(store: Store, key: str, standing: Standing) -> None:
    store.run("INSERT OR REPLACE INTO keys (key, standing) VALUES (?, ?)", key, standing)


def masked(key: str) -> str:
    """`sk_test_***1234`: never enough of a key to use it."""
    head = next((prefix for prefix in ("sk_test_", "rk_test_", "sk_live_", "rk_live_") if key.startswith(prefix)), "")
    rest = key[len(head) :]
    return f"{head}***{rest[-4:] if len(rest) >= 12 else ''}"


def _key(authorization: str) -> str:
    scheme, _, credentials = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
