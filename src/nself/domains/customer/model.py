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


class Owner(msgspec.Struct, frozen=True):
    """Who is behind a customer: the app's user with their address, and whether the customer has a way to pay."""

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
