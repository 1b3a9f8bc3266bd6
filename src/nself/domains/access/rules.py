"""What a key that is bound to a user may name."""

from __future__ import annotations

from collections.abc import Mapping

from nself.core.errors import Denied
from nself.domains.api_key.model import ApiKey

OWNED = ("customer", "invoice", "subscription", "payment_intent", "charge", "payment_method")
"""Fields of inputs that hold the id of a Stripe object of that kind, which belongs to a customer and so to a user."""


class NotTheirs(Denied):
    """Says the same of what is somebody else's and of what does not exist."""

    code = "not_of_this_user"
    text = "The API key {key_id} is bound to the user {user}: {what}"
    hints = ("nself billing api-key list", "nself billing api-key create --name app --scopes {scopes}")


def not_theirs(key: ApiKey, what: str, param: str | None = None) -> NotTheirs:
    error = NotTheirs(key_id=key.key_id, user=key.user, what=what, scopes=",".join(sorted(key.scopes)))
    error.param = param
    return error


def require_own(key: ApiKey, field: str, user: str | None) -> None:
    """Raises NotTheirs."""
    if user != key.user:
        raise not_theirs(key, f"what `{field}` names is not theirs", field)


def require_owned(key: ApiKey, named: Mapping[str, str], owners: Mapping[tuple[str, str], str], beside: bool) -> None:
    """`named`: id by field; `owners`: user by kind and id, '' where a customer without a user has it.

    A payment method of nobody may be named `beside` what is theirs: it is about to become theirs. Raises NotTheirs.
    """
    for field, id in named.items():
        owner = owners.get((field, id))
        if owner is None and field == "payment_method" and (beside or len(named) > 1):
            continue
        require_own(key, field, owner)
