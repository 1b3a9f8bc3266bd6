"""Pure decisions about users and customers."""

from __future__ import annotations

from nself.core.errors import InvalidParameter

MAX_NAME = 255


def is_name(user: str) -> bool:
    """Whether a user can be called so: printable, no blank at its ends, at most 255 characters."""
    return 0 < len(user) <= MAX_NAME and user.isprintable() and user == user.strip()


def bad_name(user: str) -> InvalidParameter:
    """What is said of a user who cannot be called so."""
    return InvalidParameter(
        f"Invalid user: {user[:40]!r} (1 to {MAX_NAME} printable characters, no blank at the ends)", "user"
    )
