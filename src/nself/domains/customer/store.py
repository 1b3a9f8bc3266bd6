"""One function a query of customers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from psycopg.types.json import Jsonb

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.customer.inputs import ListCustomers
from nself.domains.customer.model import Customer, Owner, RefusedTrial
from nself.domains.mirror.model import Picture

SQL = beside(__file__)


class Link(msgspec.Struct, frozen=True):
    user: str
    id: str


class Given(msgspec.Struct, frozen=True):
    id: str
    user: str | None


class Address(msgspec.Struct, frozen=True):
    user: str
    email: str


class Deleted(msgspec.Struct, frozen=True):
    user: str
    count: int


def known_users(tx: Tx, users: Sequence[str]) -> list[str]:
    return tx.values(SQL["known_users"], users=list(users))


def emails(tx: Tx, users: Sequence[str]) -> dict[str, str]:
    """Of those who have one."""
    return {one.user: one.email for one in tx.all(SQL["emails"], Address, users=list(users))}


def add_users(tx: Tx, users: Sequence[str], emails: Sequence[str | None]) -> int:
    return tx.run(SQL["add_users"], users=list(users), emails=list(emails))


def of_user(tx: Tx, user: str, livemode: bool) -> Customer | None:
    return tx.maybe(SQL["of_user"], Customer, user=user, livemode=livemode)


def of_users(tx: Tx, users: Sequence[str], livemode: bool) -> dict[str, str]:
    """User -> customer id."""
    return {link.user: link.id for link in tx.all(SQL["of_users"], Link, users=list(users), livemode=livemode)}


def users_of(tx: Tx, customers: Sequence[str]) -> dict[str, str]:
    """Customer id -> user."""
    return {link.id: link.user for link in tx.all(SQL["users_of"], Link, customers=list(customers))}


def deleted_of_users(tx: Tx, users: Sequence[str], livemode: bool) -> dict[str, int]:
    """User -> number of deleted customers, for those who have any."""
    return {
        one.user: one.count for one in tx.all(SQL["deleted_of_users"], Deleted, users=list(users), livemode=livemode)
    }


def by_id(tx: Tx, customer: str) -> Customer | None:
    return tx.maybe(SQL["by_id"], Customer, customer=customer)


def list_customers(tx: Tx, given: ListCustomers, livemode: bool) -> list[Customer]:
    return tx.all(
        SQL["list"],
        Customer,
        user=given.user,
        search=given.search,
        livemode=livemode,
        limit=given.limit,
        offset=given.offset,
    )


def count_live(tx: Tx) -> int:
    return tx.value(SQL["count_live"])


def owners(tx: Tx, customers: Sequence[str]) -> dict[str, Owner]:
    """By customer id."""
    return {one.customer: one for one in tx.all(SQL["owners"], Owner, customers=list(customers))}


def use_trial(tx: Tx, customers: Sequence[str]) -> None:
    tx.run(SQL["use_trial"], customers=list(customers))


def set_email(tx: Tx, user: str, email: str) -> None:
    tx.run(SQL["set_email"], user=user, email=email)


def had_trial(tx: Tx, customer: str) -> bool:
    return bool(tx.value(SQL["had_trial"], customer=customer))


def refused_trials(tx: Tx, customer: str | None, since: datetime, livemode: bool, limit: int) -> list[RefusedTrial]:
    """Newest first."""
    return tx.all(
        SQL["refused_trials"], RefusedTrial, customer=customer, since=since, livemode=livemode, limit=limit
    )  # fmt: skip


def lock_users(tx: Tx, users: Sequence[str], customers: Sequence[str]) -> list[str]:
    """Until the end of the transaction nobody else gives them a customer: `users`, and those whom `customers` have."""
    return tx.values(SQL["lock_users"], users=list(users), customers=list(customers))


def upsert(tx: Tx, given: Sequence[tuple[Picture, str | None]]) -> dict[str, str | None]:
    """Customer id -> user; without those that are stored with a higher number, which are not written."""
    rows = [{**one.row(), "user": user} for one, user in given]
    return {one.id: one.user for one in tx.all(SQL["upsert"], Given, rows=Jsonb(rows))}


def entitled(tx: Tx, users: Sequence[str], livemode: bool) -> dict[str, str]:
    """User -> the customer that the user belongs to and that does not have it yet."""
    return {one.user: one.id for one in tx.all(SQL["entitled"], Link, users=list(users), livemode=livemode)}


def give(tx: Tx, customer: str, user: str, livemode: bool) -> int:
    """Take the user from whatever other customer has it, and give it to this one; number of those who had it."""
    taken = tx.run(SQL["take"], customer=customer, user=user, livemode=livemode)
    tx.run(SQL["give"], customer=customer, user=user)
    return taken


def mark_deleted(tx: Tx, picture: Picture, user: str | None) -> None:
    columns = picture.row()
    tx.run(SQL["mark_deleted"], **{**columns, "snapshot": Jsonb(columns["snapshot"])}, user=user)


def with_emails(tx: Tx, addresses: Sequence[str], livemode: bool) -> dict[str, str]:
    """Address -> customer."""
    return {one[0]: one[1] for one in tx.values(SQL["with_emails"], addresses=list(addresses), livemode=livemode)}
