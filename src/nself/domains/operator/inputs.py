"""What the accounts of operators take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Role = Literal["owner", "operator", "support", "read-only"]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$",
        description="Name or e-mail address; capitals are the same as small letters.",
        extra={"positional": True, "metavar": "NAME"},
    ),
]
ROLES = "owner: everything and the accounts; operator: everything but the accounts; support: users, quotas, mails and notes; read-only: looks."


class AddOperator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    role: Annotated[Role, Meta(description=ROLES)] = "read-only"


class LinkOperator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name


class ListOperators(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class SetRole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    role: Annotated[Role, Meta(description=ROLES, extra={"positional": True, "metavar": "ROLE"})]


class RemoveOperator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name


class SignOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name


class Enrol(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the form behind a one-time link sends."""

    token: Annotated[str, Meta(max_length=200)]
    password: Annotated[str, Meta(max_length=1000)]
    totp: Annotated[str, Meta(max_length=100, description="The secret that the form showed.")]
    code: Annotated[str, Meta(max_length=10)]


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=100)]
    password: Annotated[str, Meta(max_length=1000)]
    code: Annotated[str, Meta(max_length=10)]
    address: str = ""
