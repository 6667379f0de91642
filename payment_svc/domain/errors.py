"""The refusals of the payment adapter."""

from collections.abc import Iterable
from enum import StrEnum

from chassis.errors import DomainError, Kind, joined


class PaymentNotFound(DomainError):
    """No payment has this id."""

    kind = Kind.NOT_FOUND
    reason = "PAYMENT_NOT_FOUND"

    def __init__(self, payment_id: str) -> None:
        """Name the payment."""
        super().__init__(f"there is no payment {payment_id}", {"paymentId": payment_id})


class PaymentNotRefundable(DomainError):
    """The payment holds no money that could be given back, or it is not known whether it does."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PAYMENT_NOT_REFUNDABLE"

    def __init__(self, payment_id: str, status: StrEnum, cause: str) -> None:
        """Name the payment, its state, and which of the causes below it is."""
        super().__init__(
            f"payment {payment_id} cannot be given back: {WHY_NOT.get(cause, NOTHING_LEFT)}",
            {"paymentId": payment_id, "status": status, "cause": cause},
        )


NOTHING_LEFT = "all of it is given back, or set aside for that"
WHY_NOT = {
    "PENDING": "its provider has not said yet whether it is taken; ask again later",
    "OUTCOME_UNKNOWN": "it is not known yet whether it is taken; ask again in a moment",
    "REFUND_UNKNOWN": "it is not known yet what became of an earlier refund; ask again in a moment",
    "FAILED": "it was declined, so nothing is taken",
    "CANCELLED": "it was called off; what is taken all the same goes back by itself",
}


class RefundExceedsPayment(DomainError):
    """The refund is larger than what is left of the payment."""

    kind = Kind.FAILED_PRECONDITION
    reason = "REFUND_EXCEEDS_PAYMENT"

    def __init__(self, payment_id: str, refundable: str, currency: str) -> None:
        """Name the payment and what is left of it."""
        super().__init__(
            f"payment {payment_id} has {refundable} {currency} left to give back",
            {"paymentId": payment_id, "refundable": refundable, "currency": currency},
        )


class WebhookRefused(DomainError):
    """A webhook cannot be trusted."""

    kind = Kind.UNAUTHENTICATED
    reason = "WEBHOOK_REFUSED"

    def __init__(self) -> None:
        """Say no more than that."""
        super().__init__("the webhook is refused")


class UserHasOpenBookings(DomainError):
    """Something of a user who is to be erased is not over."""

    kind = Kind.FAILED_PRECONDITION
    reason = "USER_HAS_OPEN_BOOKINGS"

    def __init__(self, open_ones: Iterable[str]) -> None:
        """Name the payments."""
        names = joined(open_ones)
        super().__init__(f"these payments of the user are not over: {names}", {"payments": names})
