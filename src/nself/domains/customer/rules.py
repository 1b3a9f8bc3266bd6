"""Pure decisions about users and customers."""

from __future__ import annotations

from importlib import import_module

from nself.core.errors import InvalidParameter
from nself.domains.connection.rules import part
from nself.domains.mirror.model import Snapshot

MAX_NAME = 255
CHECKED: dict[str, str] = {
    "au_abn": "stdnum.au.abn", "br_cnpj": "stdnum.br.cnpj", "br_cpf": "stdnum.br.cpf", "ca_bn": "stdnum.ca.bn",
    "ch_uid": "stdnum.ch.uid", "ch_vat": "stdnum.ch.vat", "cl_tin": "stdnum.cl.rut", "cn_tin": "stdnum.cn.uscc",
    "es_cif": "stdnum.es.cif", "eu_vat": "stdnum.eu.vat", "gb_vat": "stdnum.gb.vat", "in_gst": "stdnum.in_.gstin",
    "kr_brn": "stdnum.kr.brn", "mx_rfc": "stdnum.mx.rfc", "no_vat": "stdnum.no.mva", "nz_gst": "stdnum.nz.ird",
    "sg_uen": "stdnum.sg.uen", "us_ein": "stdnum.us.ein", "za_vat": "stdnum.za.tin",
}  # fmt: skip
"""Stripe's types of tax ids whose form and check digits a module of python-stdnum knows."""


def tax_id_problem(type: str, value: str) -> str | None:
    """What is wrong with a tax id, in words; "" where it is right, None where nobody here knows its form."""
    if type not in CHECKED:
        return None
    from stdnum.exceptions import ValidationError  # known to this command alone

    try:
        import_module(CHECKED[type]).validate(value)
    except ValidationError as error:
        return str(error).lower().rstrip(".")
    return ""


def address_text(snapshot: Snapshot) -> str:
    """An address in one line, empty where there is none."""
    found = part(snapshot, "address")
    names = ("line1", "line2", "postal_code", "city", "state", "country")
    return ", ".join(str(found[name]) for name in names if found.get(name))


def tax_id_text(one: Snapshot) -> str:
    return f"{one['type']} {one['value']} ({part(one, 'verification').get('status') or 'not checked'})"


def is_replaced(one: Snapshot, type: str, value: str) -> bool:
    """Whether a tax id gives way to the one that is set: of the same type, or unknown to its authority."""
    unverified = part(one, "verification").get("status") == "unverified"
    return (one["type"], one["value"]) != (type, value) and (one["type"] == type or unverified)


def is_name(user: str) -> bool:
    """Whether a user can be called so: printable, no blank at its ends, at most 255 characters."""
    return 0 < len(user) <= MAX_NAME and user.isprintable() and user == user.strip()


def bad_name(user: str) -> InvalidParameter:
    """What is said of a user who cannot be called so."""
    return InvalidParameter(
        f"Invalid user: {user[:40]!r} (1 to {MAX_NAME} printable characters, no blank at the ends)", "user"
    )
