"""Roles of people, at the dashboard and in the terminal. Pure."""

from __future__ import annotations

ROLES = ("read-only", "support", "operator", "owner")
"""Each may what those before it may."""


def may(role: str, needed: str) -> bool:
    return ROLES.index(role) >= ROLES.index(needed)


def by_login(text: str) -> dict[str, str]:
    """`ada=owner bob=support *=read-only`. Raises ValueError."""
    found = {login: role for login, _, role in (word.partition("=") for word in text.split())}
    if not all(login and role in ROLES for login, role in found.items()):
        raise ValueError(f"logins with roles ({', '.join(ROLES)}) are needed, like `ada=owner bob=support *=read-only`")
    return found
