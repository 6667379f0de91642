"""What can be wrong with the world of `support.audited`: in SQL, and what the auditor must say."""
# ruff: noqa: S608 - statements of our own

from dataclasses import dataclass

from support.audited import CALLED_OFF, CONFIRMED, DECLINED, GONE, PARKED, REFERENCES

A_CARD = "4242424242424242"
BOOKED = f"booking_id = {CONFIRMED}"
HELD_FOR = "1030"
CHARGE = f"booking_id = {CONFIRMED} AND action = 'take_payment' AND attempt = 2"


@dataclass(frozen=True)
class Spoiled:
    """One database is changed behind everybody's back."""

    database: str
    sql: str
    # The codes of what is found then, all of them.
    codes: frozenset[str]


def said(database: str, sql: str, *codes: str) -> Spoiled:
    return Spoiled(database, sql, frozenset(codes))


def one_more(table: str, where: str, changes: str) -> str:
    """SQL for SQLite: a copy of a row, with changes."""
    return (
        f"CREATE TEMP TABLE one AS SELECT * FROM {table} WHERE {where};"
        f"UPDATE one SET {changes}; INSERT INTO {table} SELECT * FROM one; DROP TABLE one"
    )


MONEY = {
    "a confirmed booking without its payment": said(
        "payment",
        "DELETE FROM payments WHERE payment_id = 'pay_K'",
        "MONEY_NOT_DUE", "PAYMENT_NOT_NAMED", "PROVIDER_NOT_DUE", "CHARGE_UNKNOWN",
        "KEY_WITHOUT_SUBJECT",
    ),
    "a forgotten refund": said(
        "payment",
        "DELETE FROM refunds; DELETE FROM idempotency_keys WHERE subject = 'ref_G';"
        "UPDATE payments SET status = 'SUCCESS', refunded_minor = 0, returned_minor = 0"
        " WHERE payment_id = 'pay_G'",
        "MONEY_NOT_DUE", "PROVIDER_NOT_DUE", "RETURN_UNKNOWN",
    ),
    "a refund that nobody was due": said(
        "payment",
        "UPDATE payments SET status = 'REFUNDED', refunded_minor = 15000, returned_minor = 15000"
        " WHERE payment_id = 'pay_K';"
        + one_more(
            "refunds", "1",
            "refund_id = 'ref_K', payment_id = 'pay_K', amount_minor = 15000",
        ),
        "MONEY_NOT_DUE", "RETURN_NOT_AT_PROVIDER",
    ),
    "a second payment": said(
        "payment",
        one_more("payments", "payment_id = 'pay_K'", "payment_id = 'pay_X'"),
        "MONEY_NOT_DUE", "CHARGED_TWICE", "CHARGE_NOT_AT_PROVIDER",
    ),
    "a second payment, given back": said(
        "payment",
        one_more(
            "payments", "payment_id = 'pay_G'",
            f"payment_id = 'pay_X', booking_reference = '{REFERENCES[GONE]}'",
        )
        + ";" + one_more("refunds", "1", "refund_id = 'ref_X', payment_id = 'pay_X'"),
        "CHARGED_TWICE", "CHARGE_NOT_AT_PROVIDER", "RETURN_NOT_AT_PROVIDER",
    ),
    "a payment in another currency": said(
        "payment",
        "UPDATE payments SET currency = 'EUR' WHERE payment_id = 'pay_K'",
        "PAYMENT_DIFFERS", "CHARGE_DIFFERS",
    ),
    "a payment by another user": said(
        "payment",
        "UPDATE payments SET user_id = 'bob' WHERE payment_id = 'pay_K'",
        "PAYMENT_DIFFERS",
    ),
    "a payment of another amount": said(
        "payment",
        "UPDATE payments SET amount_minor = 7500 WHERE payment_id = 'pay_K'",
        "MONEY_NOT_DUE", "PAYMENT_DIFFERS", "CHARGE_DIFFERS",
    ),
    "a payment of no booking": said(
        "payment",
        "UPDATE payments SET booking_reference = 'BK-2026-KLMNPQRTVW' WHERE payment_id = 'pay_1'",
        "PAYMENT_WITHOUT_BOOKING",
    ),
    "a booking that names another's payment": said(
        "booking",
        f"UPDATE bookings SET payment_id = 'pay_D' WHERE {BOOKED}",
        "PAYMENT_NOT_NAMED",
    ),
    "a payment that says less than its refunds": said(
        "payment",
        "UPDATE payments SET returned_minor = 7000 WHERE payment_id = 'pay_G'",
        "REFUND_SUMS_DIFFER", "PAYMENT_STATUS_DIFFERS",
    ),
    "more given back than taken": said(
        "payment",
        "PRAGMA ignore_check_constraints = ON;"
        "UPDATE payments SET refunded_minor = 9000, returned_minor = 9000"
        " WHERE payment_id = 'pay_G'; UPDATE refunds SET amount_minor = 9000",
        "MONEY_NOT_DUE", "REFUND_EXCEEDS_PAYMENT", "PAYMENT_STATUS_DIFFERS", "RETURN_DIFFERS",
    ),
    "a refund of no payment": said(
        "payment",
        one_more("refunds", "1", "refund_id = 'ref_X', payment_id = 'pay_X', status = 'FAILED'"),
        "REFUND_WITHOUT_PAYMENT",
    ),
    "a refunded payment that says otherwise": said(
        "payment",
        "UPDATE payments SET status = 'SUCCESS' WHERE payment_id = 'pay_G'",
        "PAYMENT_STATUS_DIFFERS",
    ),
    "a confirmed booking that was called off": said(
        "payment",
        f"UPDATE booking_fences SET called_off_at = '2026-11-16 10:31:00'"
        f" WHERE booking_reference = '{REFERENCES[CONFIRMED]}'",
        "CALLED_OFF_AND_KEPT",
    ),
    "a late payment that is kept": said(
        "payment",
        "UPDATE payments SET transaction_id = 'txn_pay_C' WHERE payment_id = 'pay_C'",
        "MONEY_NOT_DUE", "CHARGE_NOT_AT_PROVIDER",
    ),
}  # fmt: skip

PROVIDER = {
    "a charge of no payment": said(
        "provider",
        one_more("provider_charges", "reference = 'pay_K'", "reference = 'pay_X'"),
        "CHARGE_UNKNOWN",
    ),
    "a charge that we call declined": said(
        "provider",
        "UPDATE provider_charges SET state = 'SUCCEEDED' WHERE reference = 'pay_1'",
        "CHARGE_NOT_RECORDED",
    ),
    "a charge that was called off and made": said(
        "provider",
        "UPDATE provider_charges SET state = 'SUCCEEDED' WHERE reference = 'pay_C'",
        "CHARGE_NOT_RECORDED", "PROVIDER_NOT_DUE",
    ),
    "a payment that was never charged": said(
        "provider",
        "UPDATE provider_charges SET state = 'VOIDED' WHERE reference = 'pay_K'",
        "CHARGE_NOT_AT_PROVIDER", "PROVIDER_NOT_DUE",
    ),
    "a payment whose charge is not decided": said(
        "provider",
        "UPDATE provider_charges SET settles_at = '2099-01-01 00:00:00' WHERE state = 'PENDING'",
        "CHARGE_NOT_AT_PROVIDER",
    ),
    "a charge of another amount": said(
        "provider",
        "UPDATE provider_charges SET amount_minor = 15001 WHERE reference = 'pay_K'",
        "CHARGE_DIFFERS", "PROVIDER_NOT_DUE",
    ),
    "a charge in another currency": said(
        "provider",
        "UPDATE provider_charges SET currency = 'EUR' WHERE reference = 'pay_K'",
        "CHARGE_DIFFERS",
    ),
    "a return of no refund": said(
        "provider",
        one_more("provider_refunds", "1", "reference = 'ref_X'"),
        "RETURN_UNKNOWN",
    ),
    "a return that we call refused": said(
        "payment",
        one_more("refunds", "1", "refund_id = 'ref_F', status = 'FAILED'")
        + "; UPDATE refunds SET refund_id = 'tmp' WHERE refund_id = 'ref_G';"
        "UPDATE refunds SET refund_id = 'ref_G' WHERE refund_id = 'ref_F';"
        "UPDATE refunds SET refund_id = 'ref_F' WHERE refund_id = 'tmp'",
        "RETURN_NOT_RECORDED", "RETURN_NOT_AT_PROVIDER",
    ),
    "a refund that was never made": said(
        "provider",
        "DELETE FROM provider_refunds",
        "RETURN_NOT_AT_PROVIDER", "PROVIDER_NOT_DUE",
    ),
    "a return of more than was taken": said(
        "provider",
        "UPDATE provider_refunds SET amount_minor = 8000",
        "RETURN_DIFFERS", "RETURN_EXCEEDS_CHARGE", "PROVIDER_NOT_DUE",
    ),
}  # fmt: skip

SEATS = {
    "a reservation that is not booked": said(
        "inventory",
        f"UPDATE reservations SET status = 'ACTIVE' WHERE reservation_id = {HELD_FOR}",
        "SEAT_NOT_BOOKED", "SEAT_WITHOUT_BOOKING",
    ),
    "a reservation in another's name": said(
        "inventory",
        f"UPDATE reservations SET booking_reference = '{REFERENCES[PARKED]}'"
        f" WHERE reservation_id = {HELD_FOR}",
        "SEAT_NOT_BOOKED", "SEAT_WITHOUT_BOOKING",
    ),
    "a seat that is free again": said(
        "inventory",
        "UPDATE seats SET booked = 0 WHERE seat_id = 1",
        "RESERVATION_WITHOUT_SEAT",
    ),
    "a seat that someone else holds": said(
        "inventory",
        "UPDATE seats SET booked = 0, reservation_id = 77, held_until = '2026-11-16 10:40:00'"
        " WHERE seat_id = 1",
        "RESERVATION_WITHOUT_SEAT",
    ),
    "a seat held for a booking that failed": said(
        "inventory",
        "UPDATE reservations SET status = 'ACTIVE' WHERE reservation_id = 1020",
        "SEAT_OF_DEAD_BOOKING",
    ),
    "a seat booked for a booking that is cancelled": said(
        "inventory",
        "UPDATE reservations SET status = 'CONFIRMED' WHERE reservation_id = 1000",
        "SEAT_OF_DEAD_BOOKING", "RESERVATION_WITHOUT_SEAT",
    ),
    "a seat booked for nobody": said(
        "inventory",
        "UPDATE seats SET booked = 1, reservation_id = 77 WHERE seat_id = 6",
        "SEAT_WITHOUT_BOOKING",
    ),
    "a reservation of two bookings": said(
        "booking",
        f"UPDATE booking_seats SET reservation_id = {HELD_FOR}, seat_number = 'A1'"
        f" WHERE booking_id = {PARKED};"
        f"DELETE FROM reservation_claims WHERE booking_id = {PARKED}",
        "RESERVATION_SHARED", "CLAIM_DIFFERS",
    ),
    "a reservation for the seat of another": said(
        "inventory",
        "UPDATE reservations SET seat_id = 1, seat_number = 'A1' WHERE reservation_id = 1031",
        "RESERVATION_WITHOUT_SEAT", "SEAT_DIFFERS",
    ),
    "a cancelled booking that is confirmed again": said(
        "booking",
        f"UPDATE bookings SET status = 'CONFIRMED' WHERE booking_id = {GONE}",
        "SEAT_SHARED", "SEAT_NOT_BOOKED", "MONEY_NOT_DUE", "PROVIDER_NOT_DUE", "ANSWER_BROKEN",
        "EVENT_UNEXPECTED",
    ),
    "a seat at another price": said(
        "inventory",
        f"UPDATE reservations SET price_minor = 1 WHERE reservation_id = {HELD_FOR}",
        "SEAT_DIFFERS",
    ),
    "a booking of another event": said(
        "booking",
        f"UPDATE bookings SET event_id = 1 WHERE {BOOKED}",
        "SEAT_DIFFERS",
    ),
    "a reservation that is gone": said(
        "inventory",
        "DELETE FROM reservations WHERE reservation_id = 1040",
        "SEAT_DIFFERS",
    ),
    "a claim that is gone": said(
        "booking",
        "DELETE FROM reservation_claims WHERE reservation_id = 1030",
        "CLAIM_DIFFERS",
    ),
    "seats of no booking": said(
        "booking",
        one_more("booking_seats", f"booking_id = {DECLINED}", "booking_id = 5, reservation_id = 6")
        + "; INSERT INTO reservation_claims VALUES (6, 5)",
        "BOOKING_WITHOUT_SEATS",
    ),
}  # fmt: skip

KEYS = {
    "a key of no booking": said(
        "booking",
        f"UPDATE idempotency_keys SET subject = '7' WHERE subject = '{CONFIRMED}'",
        "KEY_WITHOUT_SUBJECT", "ANSWERED_FOR_ANOTHER",
    ),
    "a key of no payment": said(
        "payment",
        "UPDATE idempotency_keys SET subject = 'pay_X' WHERE subject = 'pay_K'",
        "KEY_WITHOUT_SUBJECT",
    ),
    "a key of a reservation that is not there": said(
        "inventory",
        "UPDATE idempotency_keys SET subject = '1030,7' WHERE subject = '1030,1031'",
        "KEY_WITHOUT_SUBJECT",
    ),
    "two keys of one booking": said(
        "booking",
        one_more("idempotency_keys", f"subject = '{CONFIRMED}'", "idempotency_key = 'other'"),
        "KEYS_SHARE_BOOKING",
    ),
    "a key of another user": said(
        "booking",
        f"UPDATE idempotency_keys SET owner = 'bob' WHERE subject = '{CONFIRMED}'",
        "KEY_OF_ANOTHER",
    ),
    "a confirmed booking without an answer": said(
        "booking",
        f"UPDATE bookings SET answer = NULL WHERE {BOOKED}",
        "ANSWER_MISSING",
    ),
    "a cancelled booking without an answer": said(
        "booking",
        f"UPDATE bookings SET answer = NULL WHERE booking_id = {CALLED_OFF}",
        "ANSWER_MISSING",
    ),
    "an answer to a booking that failed": said(
        "booking",
        f"UPDATE bookings SET answer = 'x' WHERE booking_id = {DECLINED}",
        "ANSWER_TOO_EARLY",
    ),
    "a booking that failed for no reason": said(
        "booking",
        f"UPDATE bookings SET failure_reason = '' WHERE booking_id = {DECLINED}",
        "BOOKING_INCOMPLETE",
    ),
    "an acknowledged booking that is gone": said(
        "booking",
        " ".join(
            f"DELETE FROM {table} WHERE booking_id = {DECLINED};"
            for table in (
                "bookings", "booking_seats", "reservation_claims", "sagas", "saga_steps",
            )
        )
        + f"DELETE FROM idempotency_keys WHERE subject = '{DECLINED}';"
        f"DELETE FROM outbox WHERE subject = '{REFERENCES[DECLINED]}';"
        "UPDATE outbox SET sequence = sequence - 1 WHERE sequence > 2;"
        "UPDATE outbox_counter SET last_sequence = 3",
        "ANSWER_LOST", "PAYMENT_WITHOUT_BOOKING",
    ),
    "a card in a text": said(
        "booking",
        f"UPDATE bookings SET failure_message = 'no {A_CARD}.' WHERE booking_id = {DECLINED}",
        "CARD_STORED",
    ),
    "a card in bytes": said(
        "booking",
        f"UPDATE outbox SET payload = CAST('x {A_CARD}' AS BLOB) WHERE event_id = 1",
        "CARD_STORED",
    ),
    "a card as it is printed": said(
        "payment",
        "UPDATE refunds SET reason = 'card 4242 4242 4242 4242'",
        "CARD_STORED",
    ),
    "a card in a key": said(
        "inventory",
        f"UPDATE idempotency_keys SET idempotency_key = 'k-{A_CARD}' WHERE owner = 'root'",
        "CARD_STORED",
    ),
    "a card in what the provider tells": said(
        "provider",
        "INSERT INTO provider_webhooks VALUES"
        f" ('msg_1', 'pay_K', 'x {A_CARD}', '2026-11-16 10:31:00', NULL, 0, 0, NULL)",
        "CARD_STORED",
    ),
    "a card at the provider": said(
        "provider",
        "UPDATE provider_refunds SET refund_id = 're 3782-822463-10005'",
        "CARD_STORED",
    ),
}  # fmt: skip

SAGAS = {
    "a booking without a saga": said(
        "booking",
        f"DELETE FROM sagas WHERE {BOOKED}; DELETE FROM saga_steps WHERE {BOOKED}",
        "NO_SAGA",
    ),
    "a booking that nobody goes on with": said(
        "booking",
        f"UPDATE sagas SET state = 'UNDONE' WHERE booking_id = {PARKED}",
        "NO_OPEN_SAGA", "BOOKING_NOT_SETTLED",
    ),
    "a booking that two go on with": said(
        "booking",
        f"UPDATE sagas SET state = 'NEEDS_ATTENTION' WHERE booking_id = {PARKED}",
        "NO_OPEN_SAGA",
    ),
    "a saga that goes on after the end": said(
        "booking",
        f"UPDATE sagas SET state = 'NEEDS_ATTENTION' WHERE {BOOKED}",
        "SAGA_STILL_OPEN",
    ),
    "a saga that does not end": said(
        "booking",
        f"UPDATE sagas SET state = 'RUNNING' WHERE {BOOKED}",
        "SAGA_STILL_OPEN", "SAGA_NOT_SETTLED",
    ),
    "a saga of no booking": said(
        "booking",
        one_more("sagas", BOOKED, "booking_id = 5"),
        "SAGA_WITHOUT_BOOKING",
    ),
    "a timeline of no saga": said(
        "booking",
        one_more("saga_steps", "step_id = 1", "step_id = 99, definition = 'other'"),
        "SAGA_WITHOUT_BOOKING",
    ),
    "a step under an attempt that never was": said(
        "booking",
        f"UPDATE saga_steps SET attempt = 3 WHERE {BOOKED} AND action = 'confirm_seats'",
        "STEP_OF_NO_ATTEMPT",
    ),
    "a step of an owner that had lost its lease": said(
        "booking",
        f"UPDATE saga_steps SET attempt = 1 WHERE {BOOKED} AND action = 'confirm_seats'",
        "ATTEMPTS_GO_BACK",
    ),
    "two steps at once": said(
        "booking",
        f"UPDATE saga_steps SET took_ms = 1500 WHERE {CHARGE}",
        "TWO_WRITERS",
    ),
    "a step that was done twice": said(
        "booking",
        one_more("saga_steps", CHARGE, "step_id = 99, began_at = '2026-11-16 10:31:00.000000'"),
        "STEP_DONE_TWICE",
    ),
    "a payment that stays open": said(
        "payment",
        "UPDATE payments SET status = 'PENDING', next_ask_at = '2026-11-16 10:31:00'"
        " WHERE payment_id = 'pay_1'",
        "PAYMENT_NOT_SETTLED",
    ),
    "a cancelled payment that stays open": said(
        "payment",
        "UPDATE payments SET next_ask_at = '2026-11-16 10:31:00' WHERE payment_id = 'pay_C'",
        "PAYMENT_NOT_SETTLED",
    ),
    "a refund that stays open": said(
        "payment",
        "UPDATE refunds SET status = 'PENDING'; UPDATE payments SET returned_minor = 0,"
        " status = 'SUCCESS' WHERE payment_id = 'pay_G'",
        "REFUND_NOT_SETTLED",
    ),
}  # fmt: skip

EVENTS = {
    "a confirmation that is not told": said(
        "booking",
        "UPDATE outbox SET kind = 'OTHER' WHERE event_id = 3",
        "EVENT_MISSING", "EVENT_UNEXPECTED",
    ),
    "a cancellation that is not told": said(
        "booking", "DELETE FROM outbox WHERE event_id = 6", "EVENT_MISSING"
    ),
    "a confirmation that is told twice": said(
        "booking",
        one_more("outbox", "event_id = 3", "event_id = 99, sequence = NULL"),
        "EVENT_UNEXPECTED",
    ),
    "a failure of what was confirmed": said(
        "booking",
        one_more("outbox", "event_id = 3", "event_id = 99, sequence = NULL, kind = 'FAILED'"),
        "EVENT_UNEXPECTED",
    ),
    "an event of no booking": said(
        "booking",
        one_more("outbox", "event_id = 3", "event_id = 99, sequence = NULL, subject = 'BK'"),
        "EVENT_WITHOUT_SUBJECT",
    ),
    "a cancellation that is told first": said(
        "booking",
        "UPDATE outbox SET sequence = 9 WHERE event_id = 1;"
        "UPDATE outbox SET sequence = 1 WHERE event_id = 4;"
        "UPDATE outbox SET sequence = 4 WHERE event_id = 1",
        "EVENTS_OUT_OF_ORDER",
    ),
    "a gap in the numbers": said(
        "booking",
        "UPDATE outbox SET sequence = 5 WHERE event_id = 4;"
        "UPDATE outbox_counter SET last_sequence = 5",
        "EVENT_NUMBERS_DIFFER",
    ),
    "a number that was never given": said(
        "booking",
        "UPDATE outbox_counter SET last_sequence = 3",
        "EVENT_NUMBERS_DIFFER",
    ),
    "a payment event without the number before it": said(
        "payment",
        "INSERT INTO outbox VALUES"
        " (1, 1, 'CHANGED', 'pay_K', 'x', '2026-11-16 10:31:00'),"
        " (2, 3, 'CHANGED', 'pay_G', 'x', '2026-11-16 10:31:00');"
        "INSERT INTO outbox_counter VALUES ('outbox', 3)",
        "EVENT_NUMBERS_DIFFER",
    ),
}  # fmt: skip

SPOILED = {**MONEY, **PROVIDER, **SEATS, **KEYS, **SAGAS, **EVENTS}
