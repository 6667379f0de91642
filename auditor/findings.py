"""What an audit can find: a code each, the ids that it is about, and a sentence."""

from dataclasses import dataclass
from enum import StrEnum, auto


class Code(StrEnum):
    """Every rule that can be broken. Each has one check, whose docstring is the rule."""

    @staticmethod
    def _generate_next_value_(name: str, *_: object) -> str:
        return name

    # Money, by our own ledger.
    MONEY_NOT_DUE = auto()
    CHARGED_TWICE = auto()
    PAYMENT_DIFFERS = auto()
    PAYMENT_WITHOUT_BOOKING = auto()
    PAYMENT_NOT_NAMED = auto()
    REFUND_SUMS_DIFFER = auto()
    REFUND_EXCEEDS_PAYMENT = auto()
    REFUND_WITHOUT_PAYMENT = auto()
    PAYMENT_STATUS_DIFFERS = auto()
    CALLED_OFF_AND_KEPT = auto()

    # Money, by the provider's books.
    PROVIDER_NOT_DUE = auto()
    CHARGE_UNKNOWN = auto()
    CHARGE_NOT_RECORDED = auto()
    CHARGE_NOT_AT_PROVIDER = auto()
    CHARGE_DIFFERS = auto()
    RETURN_UNKNOWN = auto()
    RETURN_NOT_RECORDED = auto()
    RETURN_NOT_AT_PROVIDER = auto()
    RETURN_DIFFERS = auto()
    RETURN_EXCEEDS_CHARGE = auto()

    # Seats.
    SEAT_NOT_BOOKED = auto()
    SEAT_SHARED = auto()
    RESERVATION_SHARED = auto()
    RESERVATION_WITHOUT_SEAT = auto()
    SEAT_WITHOUT_BOOKING = auto()
    SEAT_OF_DEAD_BOOKING = auto()
    SEAT_DIFFERS = auto()
    CLAIM_DIFFERS = auto()
    BOOKING_WITHOUT_SEATS = auto()

    # Keys and answers.
    KEY_WITHOUT_SUBJECT = auto()
    KEYS_SHARE_BOOKING = auto()
    KEY_OF_ANOTHER = auto()
    ANSWER_MISSING = auto()
    ANSWER_TOO_EARLY = auto()
    BOOKING_INCOMPLETE = auto()

    # What clients were told.
    ANSWER_LOST = auto()
    ANSWER_BROKEN = auto()
    ANSWERED_TWICE = auto()
    ANSWERED_FOR_ANOTHER = auto()

    # Sagas.
    NO_SAGA = auto()
    NO_OPEN_SAGA = auto()
    SAGA_STILL_OPEN = auto()
    SAGA_WITHOUT_BOOKING = auto()
    STEP_OF_NO_ATTEMPT = auto()
    ATTEMPTS_GO_BACK = auto()
    TWO_WRITERS = auto()
    STEP_DONE_TWICE = auto()
    BOOKING_NOT_SETTLED = auto()
    SAGA_NOT_SETTLED = auto()
    PAYMENT_NOT_SETTLED = auto()
    REFUND_NOT_SETTLED = auto()

    # Events in the outboxes.
    EVENT_MISSING = auto()
    EVENT_UNEXPECTED = auto()
    EVENT_WITHOUT_SUBJECT = auto()
    EVENTS_OUT_OF_ORDER = auto()
    EVENT_NUMBERS_DIFFER = auto()

    # Everywhere.
    CARD_STORED = auto()


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule, once."""

    code: Code
    # The ids concerned, the one to look for first.
    about: str
    text: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.code} {self.about}: {self.text}"
