"""How payments are refused. No text here ever holds a part of a card number."""

from __future__ import annotations

from nself.core.errors import Conflict, Declined, Denied, Invalid, Unavailable

TEST_CARD = "nself billing test-payment --card 4242424242424242"


class CardsInTestModeOnly(Denied):
    code, guide, param = "card_number_refused", "10.4", "card_number"
    text = (
        "In live mode no card number is taken here: the customer enters it at Stripe (Checkout, portal or Stripe.js), "
        "which gives a payment method to attach"
    )
    hints = ("nself billing payment-method attach --customer cus_123 --payment-method pm_123",)


class NotATestCard(Declined):
    code, guide, param = "card_declined", "10.4", "card_number"
    text = "Your card was declined. Your request was in test mode, but used a non test card."
    hints = (TEST_CARD,)


class IncorrectNumber(Invalid):
    code, guide, param = "incorrect_number", "10.4", "card_number"
    text = "Your card number is incorrect."
    hints = (TEST_CARD,)


class InvalidExpiryMonth(Invalid):
    code, guide, param = "invalid_expiry_month", "3.2", "exp_month"
    text = "Your card's expiration month is invalid: 1 to 12 is needed."


class InvalidExpiryYear(Invalid):
    code, guide, param = "invalid_expiry_year", "3.2", "exp_year"
    text = "Your card's expiration year is invalid: a year like 2030 that is not over is needed."


class InvalidCvc(Invalid):
    code, guide, param = "invalid_cvc", "3.2", "cvc"
    text = "Your card's security code is invalid: {digits} digits are needed."


class TestPaymentsOnly(Denied):
    __test__ = False
    code, guide = "test_mode_only", "9.1"
    text = "Test payments are made in test mode only; this project works in live mode"
    hints = ("nself env get STRIPE_MODE",)


class NoPaymentMethod(Conflict):
    code, guide, param = "payment_method_missing", "3.2", "payment_method"
    text = "This customer has no attached payment source or default payment method: {customer}"
    hints = (
        "nself billing payment-method attach --customer {customer} --payment-method pm_123",
        "nself billing payment-method list --customer {customer}",
    )


class NoCustomerYet(Conflict):
    code, guide, param = "customer_missing", "10.2", "user"
    text = "User {user} has no customer at Stripe"
    hints = ("nself billing customer create --user {user} --email user@example.com",)


class NotAttached(Conflict):
    code, guide, param = "payment_method_not_attached", "3.2", "payment_method"
    text = "The customer does not have a payment method with the ID {method}: {owner}"
    hints = ("nself billing payment-method list --customer {customer}",)


class LastPaymentMethod(Conflict):
    code, guide, param = "payment_method_needed", "3.2", "payment_method"
    text = "{method} is the only payment method of {customer}, whose subscription {subscription} needs one"
    hints = (
        "nself billing payment-method attach --customer {customer} --payment-method pm_123",
        "nself billing payment-method remove {method} --force",
    )


class MethodsChanged(Conflict):
    code, guide = "payment_methods_changed", "3.2"
    text = "Another command is removing a payment method of {customer} at this moment; look again"
    hints = ("nself billing payment-method list --customer {customer}",)


class AmountUnconfirmed(Denied):
    code, guide, param = "confirmation_needed", "10.3", "amount"
    text = "{money} is a lot ({minor} minor units); --confirm says that it is meant"
    hints = ("nself billing payment create --amount {minor} --currency {currency} --confirm",)


class RepeatedPayment(Conflict):
    code, guide = "payment_repeated", "10.6"
    text = "{payment} took {money} of {customer} {seconds} s ago; another such payment needs an --idempotency-key of its own"
    hints = (
        "nself billing payment-intent show {payment}",
        "nself billing payment create --amount {minor} --currency {currency} --customer {customer} --idempotency-key second-1",
    )


class NotRefundable(Conflict):
    """`code` is Stripe's where it has one."""

    code, guide, param = "charge_not_refundable", "3.2", "amount"
    text = "{detail}"
    hints = ("nself billing refund list --charge {charge}", "nself billing transactions list --limit 20")

    def __init__(self, charge: str, detail: str, code: str) -> None:
        super().__init__(charge=charge, detail=detail)
        self.code = code


class NothingPaid(Conflict):
    code, guide = "nothing_paid", "3.2"
    text = "{object} has no successful charge that could be refunded"
    hints = ("nself billing payments failures --last 24h",)


class RefundInProgress(Conflict):
    code, guide = "refund_in_progress", "10.6"
    text = "Another refund of {charge} is being made at this moment; look at it first"
    hints = ("nself billing refund list --charge {charge}",)


class GivenBackMeanwhile(Conflict):
    code, guide = "given_back_meanwhile", "10.6"
    text = "Something else is given back to {customer} at this moment: nothing was done; look at what is left first"
    hints = ("nself billing transactions list --customer {customer}",)


class RepeatedRefund(Conflict):
    code, guide = "refund_repeated", "10.6"
    text = "{refund} gave back {money} of {charge} {seconds} s ago; another such refund needs an --idempotency-key of its own"
    hints = (
        "nself billing refund list --charge {charge}",
        "nself billing refund create --charge {charge} --amount {minor} --reason {reason} --idempotency-key second-1",
    )


class RefundUnconfirmed(Denied):
    code, guide, param = "confirmation_needed", "3.2", "confirm"
    text = "{detail}; --confirm says that it is meant"


class BadBatch(Invalid):
    code, guide, param = "refund_file_invalid", "3.2", "input"
    text = "{path}: {detail}"


class BatchRefused(Invalid):
    code, guide, param = "refund_rows_refused", "3.2", "input"
    text = "{path}: {count} of {total} rows cannot be refunded, so none was:{lines}"
    hints = ("nself billing transactions list --limit 100",)


class PlanChanged(Conflict):
    code, guide, param = "refund_plan_changed", "3.2", "plan"
    text = "{path}: these are no longer the refunds of plan {plan}, since the file or what is left of a charge changed; none was made"
    hints = ("nself billing refund batch --input {path} --reason {reason} --dry-run",)


class BatchIncomplete(Conflict):
    code, guide = "refunds_incomplete", "3.2"
    text = "{done} of {total} rows are refunded, {failed} failed, {pending} are pending; see {output}. Run the same again to go on."
    hints = ("nself billing stripe intents --state failed", "nself billing stripe intents --state pending")


class ResultNotWritten(Conflict):
    code, guide, param = "refund_result_not_written", "3.2", "output"
    text = (
        "{done} of {total} rows are refunded, but {path} cannot be written: {detail}. "
        "Nobody was told yet. Run the same again with another --output: nothing is refunded twice"
    )
    hints = ("nself billing refund batch --help",)


class QueueStopped(Unavailable):
    """Stripe does not answer: what is not made yet stays in the queue."""

    code, guide = "queue_stopped", "Emergency 4"
    text = "{made} made, {left} left in the payment queue: {detail}"
    hints = ("nself billing stripe test-connection", "nself billing process-queue --batch-size 100")
