"""Errors of subscriptions."""

from __future__ import annotations

from nself.core.errors import Conflict, Declined, Invalid, NotFound

SHOW, COMPLETE = "nself billing subscription show {subscription}", "nself billing subscription complete {subscription}"
PREVIEW = "nself billing subscription preview-change --subscription {subscription} --new-price {price}"


class NoSuchSubscription(NotFound):
    code, guide, param = "resource_missing", "7.2", "subscription"
    text = "No such subscription: {subscription}"
    hints = ("nself billing subscription import {subscription}", "nself billing subscription list")


class NoPaymentMethod(Invalid):
    """Where nothing can be charged."""

    exit_code = 1
    code, guide, param = "resource_missing", "3.1", "payment_method"
    text = "Unable to create subscription: customer {customer} has no payment method"
    hints = (
        "nself billing payment-method attach --customer {customer} --payment-method pm_123",
        "nself billing subscription create --customer {customer} --price {price} --payment-method pm_123",
    )


class NothingToCharge(NoPaymentMethod):
    guide = "3.2"
    text = "Unable to reactivate subscription: customer {customer} has no payment method"
    hints = (
        "nself billing payment-method attach --customer {customer} --payment-method pm_123",
        "nself billing subscription reactivate {subscription}",
    )


class PaymentFailed(Declined):
    """Its first or latest invoice could not be paid."""

    code, guide = "card_declined", "10.4"
    text = "{words}: {detail} Subscription {subscription} is {status}{until}."
    hints = (
        "nself billing payments failures --customer {customer}",
        "nself billing payment-method attach --customer {customer} --payment-method pm_123 --default",
        COMPLETE,
        SHOW,
    )


class RequiresAction(Declined):
    code, guide = "subscription_payment_intent_requires_action", "10.9"
    text = "This subscription requires customer action to authenticate payment. Subscription {subscription} is {status}{until}."
    hints = ("nself billing payment-intent show {payment_intent} --show-secret", SHOW, COMPLETE)


class Unpaid(Conflict):
    """An unpaid subscription is never marked as paid."""

    code, guide = "subscription_unpaid", "3.1"
    text = "Subscription {subscription} is {status} and stays so: {detail}"
    hints = (
        SHOW,
        "nself billing subscription complete {subscription} --force --comp --reason goodwill",
    )


class CompNeedsReason(Invalid):
    code, guide, param = "parameter_missing", "3.1", "reason"
    text = "A plan that is given for free is given with --force --comp and a --reason"
    hints = ("nself billing subscription complete {subscription} --force --comp --reason goodwill",)


class Canceled(Conflict):
    """`status` is canceled or incomplete_expired."""

    code, guide = "subscription_canceled", "3.5"
    text = "Subscription {subscription} is {status}: Stripe never revives one. Create another"
    hints = ("nself billing subscription create --customer {customer} --price {price}",)


class TrialUsed(Conflict):
    code, guide, param = "trial_used", "3.4", "trial_days"
    text = "Customer {customer} has had a trial already: there is one a customer"
    hints = (
        "nself billing customer show {customer}",
        "nself billing subscription create --customer {customer} --price {price}",
    )


class BadTrialEnd(Invalid):
    code, guide, param = "parameter_invalid", "3.4", "trial_end"
    text = "Invalid trial end: {given} is {what} (in {zone})"
    hints = ("nself billing price show {price}",)


class NothingToChange(Invalid):
    code, guide = "parameter_missing", "3.3"
    text = (
        "Nothing to change: give a price, a quantity, a payment method, the end of a trial, or the token of a preview"
    )
    hints = (SHOW, "nself billing subscription update --help")


class NotSchedulable(Conflict):
    code, guide, param = "change_not_schedulable", "3.3", "at_period_end"
    text = "Subscription {subscription} cannot be changed at the end of its period: {detail}"
    hints = (SHOW, "nself billing subscription update {subscription} --price {price}")


class WhichItem(Invalid):
    code, guide, param = "parameter_missing", "3.3", "item"
    text = "Subscription {subscription} has {count} items, {given}: name one of {items} with --item"
    hints = (SHOW,)


class MixedIntervals(Invalid):
    code, guide, param = "mixed_intervals", "3.3", "new_price"
    text = "{price} is billed every {every} and other items of {subscription} are not: that is not calculated here"
    hints = (SHOW,)


class DateOutsidePeriod(Invalid):
    code, guide, param = "proration_date_outside_period", "3.3", "proration_date"
    text = "Invalid proration date: {date} is not within the current period of {subscription}, {start} to {end}"
    hints = (PREVIEW,)


class NoSuchPreview(NotFound):
    code, guide, param = "no_such_preview", "3.3", "token"
    text = "No such preview of {subscription}: {token}"
    hints = (PREVIEW,)


class Unappliable(Conflict):
    """A preview that is there and cannot be applied."""

    guide, param, hints = "3.3", "token", (PREVIEW,)


class PreviewExpired(Unappliable):
    code = "preview_expired"
    text = "The preview {token} of {made} is older than BILLING_PREVIEW_LIFETIME ({lifetime}): amounts may have changed"


class PreviewOutdated(Unappliable):
    code = "preview_outdated"
    text = "Subscription {subscription} is not what it was when {token} was previewed: {changed}"


class OtherChange(Unappliable):
    code = "preview_of_another_change"
    text = "The preview {token} was of price {price}, quantity {quantity}: leave --price and --quantity out, or preview anew"
