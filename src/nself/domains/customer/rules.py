"""Pure decisions about users and customers."""

from __future__ import annotations

MAX_NAME = 255


def is_name(user: str) -> bool:
    """Whether a user can be called so: printable, no blank at its ends, at most 255 characters."""
    return 0 < len(user) <= MAX_NAME and user.isprintable() and user == user.strip()
