"""Nouns and errors of customers."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nself.core.errors import Conflict, Invalid, NotFound


class Customer(msgspec.Struct, frozen=True):
    """A mirrored customer of Stripe. `trial_used` is ours: set by the first trial, for good."""

    id: str
    user: str | None
    email: str | None
    name: str | None
    balance_minor: int
    currency: str | None
    default_payment_method: str | None
    trial_used: bool
    livemode: bool
    deleted: bool
    created_at: datetime
    synced_at: datetime


class ShownCustomer(Customer, frozen=True, kw_only=True):
    """Result of `customer show`. `tax_ids` as `us_ein 12-3456789 (unverified)`."""

    phone: str | None
    address: str
    tax_exempt: str | None
    tax_ids: list[str]
    locales: list[str]
    delinquent: bool


class Updated(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `customer update`: fields as `name: before -> after`."""

    id: str
    user: str | None
    email: str | None
    changed: list[str]
    note: str


class TaxId(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `customer set-tax-id`. `format` is ours, found offline; `verification` is Stripe's."""

    id: str
    customer: str
    type: str
    value: str
    format: str
    verification: str
    replaced: list[str]
    note: str


class Eligibility(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a customer may have a trial, and why not."""

    customer: str
    user: str | None
    eligible: bool
    trial_used: bool
    reason: str
    refused: str
    """The trial that an app asked for of late and did not get; empty where there is none."""


class RefusedTrial(msgspec.Struct, frozen=True):
    """Asked for by an app and not given since."""

    customer: str
    price: str
    at: datetime


class Portal(msgspec.Struct, frozen=True, kw_only=True):
    """A page of Stripe's for one customer; whoever has the address can use it for a few minutes."""

    customer: str
    url: str


class Owner(msgspec.Struct, frozen=True):
    """Who is behind a customer: the app's user, the address for bills, and whether the customer has a way to pay."""

    customer: str
    user: str | None
    email: str | None
    can_pay: bool


class CreatedCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `customer create`."""

    id: str
    user: str
    email: str | None
    created: bool
    note: str


class NoSuchUser(NotFound):
    code, guide, param = "no_such_user", "2.1", "user"
    text = "No such user: {user}"
    hints = ("nself billing customer create --user {user} --email user@example.com",)


class NoSuchCustomer(NotFound):
    code, guide, param = "resource_missing", "10.2", "customer"
    text = "No such customer: {customer}"
    hints = ("nself billing customer list",)


class NothingToUpdate(Invalid):
    code, guide = "parameter_missing", "4.3"
    text = "Nothing to update: give at least one field"
    hints = ("nself billing customer update {customer} --email user@example.com",)


class BadTaxId(Invalid):
    code, guide, param = "tax_id_invalid", "4.3.3", "value"
    text = "Invalid tax id: {value} is no {type}: {detail}"
    hints = ("nself billing customer show {customer}",)


class CustomerIsDeleted(Conflict):
    code, guide = "customer_deleted", "7.2"
    text = "Customer {customer} was deleted at Stripe and cannot be changed"
    hints = ("nself billing customer create --user user123 --email user@example.com",)


class BadEmail(Invalid):
    code, guide, param = "email_invalid", "4.5", "email"
    text = "Invalid email address: {email}"


class CustomerGone(Conflict):
    code, guide = "customer_deleted", "7.2"
    text = "The customer of user {user} was deleted at Stripe right after it was created"
    hints = ("nself billing customer create --user {user} --email {email}",)


class OtherCustomer(Conflict):
    code, guide = "customer_exists", "7.2"
    text = "User {user} already has customer {customer} with email {email}"
    hints = ("nself billing customer show {customer}",)
