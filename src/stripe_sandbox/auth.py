"""Who may call: test keys, until they are revoked or expire; never a live-looking key."""

import base64
import binascii
from typing import Literal

import msgspec

from stripe_sandbox.errors import StripeError
from stripe_sandbox.store import Store

Standing = Literal["revoked", "expired"]
Level = Literal["none", "read", "write"]
_LEVELS = ("none", "read", "write")
_FACT = "permissions."

_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer"
    " auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for"
    " details, or we can help at https://support.stripe.com/."
)


def check(authorization: str | None, store: Store) -> str:
    """The key, which may call."""
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
    return key


def permit(store: Store, key: str, method: str, path: str) -> None:
    """What a restricted key may do is said for the first part of a path; `write` means `read` too."""
    permissions = permissions_of(store, key)
    if permissions is None:
        return
    resource = path.removeprefix("/v1/").partition("/")[0]
    granted = permissions.get(resource, permissions.get("*", "none"))
    needed = "read" if method == "GET" else "write"
    if _LEVELS.index(granted) < _LEVELS.index(needed):
        raise StripeError(
            f"The provided key '{masked(key)}' does not have the required permissions for this endpoint. Having the"
            f" 'rak_{resource.removesuffix('s')}_{needed}' permission would allow this request to continue.",
            status=403,
        )


def permissions_of(store: Store, key: str) -> dict[str, Level] | None:
    """None: it was never restricted."""
    kept = store.fact(_FACT + key)
    return None if kept is None else msgspec.json.decode(kept, type=dict[str, Level])


def restrict(store: Store, key: str, permissions: dict[str, Level]) -> None:
    store.set_fact(_FACT + key, msgspec.json.encode(permissions).decode())


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
