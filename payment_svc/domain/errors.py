"""The refusals of the payment adapter."""

from enum import StrEnum

from chassis.errors import DomainError, Kind


class PaymentNotFound(DomainError):
    """No payment has this id."""

    kind = Kind.NOT_FOUND
    reason = "PAYMENT_NOT_FOUND"

    def __init__(self, payment_id: str) -> None:
        """Name the payment."""
        super().__init__(f"there is no payment {payment_id}", {"paymentId": payment_id})


class PaymentNotRefundable(DomainError):
    """The payment holds no money that could be given back."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PAYMENT_NOT_REFUNDABLE"

    def __init__(self, payment_id: str, status: StrEnum) -> None:
        """Name the payment and its state."""
        super().__init__(
            f"payment {payment_id} is {status}: there is nothing to give back",
            {"paymentId": payment_id, "status": status},
        )


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
