"""Tables. No column for a card number or a verification code exists."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, MetaData, Table
from sqlalchemy import text as sql

from chassis.columns import Int64, UtcDateTime, text
from chassis.keys_table import keys_table
from chassis.outbox import outbox_counter_table, outbox_table

metadata = MetaData()

# Rows of a version that does not know the column, during a deployment, are open and due.
LONG_DUE = sql("'1970-01-01 00:00:00'")

payments = Table(
    "payments",
    metadata,
    Column("payment_id", text(64), primary_key=True),
    Column("booking_reference", text(64), nullable=False),
    Column("user_id", text(128), nullable=False),
    Column("currency", text(3), nullable=False),
    Column("amount_minor", Int64, nullable=False),
    Column("method_type", text(16), nullable=False),
    Column("method_brand", text(16), nullable=False),
    Column("method_last_four", text(4), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("leased_until", UtcDateTime, nullable=False),
    Column("next_ask_at", UtcDateTime, server_default=LONG_DUE),
    Column("asks", Int64, nullable=False, server_default="0"),
    Column("status", text(24), nullable=False),
    Column("refunded_minor", Int64, nullable=False),
    Column("returned_minor", Int64, nullable=False),
    Column("transaction_id", text(64), nullable=False),
    Column("decline_code", text(32)),
    Column("processed_at", UtcDateTime),
    Column("last_answer", text(16)),
    Column("called_off", Boolean, nullable=False, server_default="0"),
    # The domain sees to both; the database would notice if it did not.
    CheckConstraint("refunded_minor BETWEEN 0 AND amount_minor", name="ck_payments_refunded"),
    CheckConstraint("returned_minor BETWEEN 0 AND refunded_minor", name="ck_payments_returned"),
    Index("ix_payments_user", "user_id", "payment_id"),
    Index("ix_payments_booking", "booking_reference", "payment_id"),
    Index("ix_payments_next_ask", "next_ask_at"),
)

refunds = Table(
    "refunds",
    metadata,
    Column("refund_id", text(64), primary_key=True),
    Column("payment_id", text(64), ForeignKey("payments.payment_id"), nullable=False),
    Column("amount_minor", Int64, nullable=False),
    Column("currency", text(3), nullable=False),
    Column("reason", text(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("leased_until", UtcDateTime, nullable=False),
    Column("next_ask_at", UtcDateTime, server_default=LONG_DUE),
    Column("asks", Int64, nullable=False, server_default="0"),
    Column("status", text(16), nullable=False),
    Column("finished_at", UtcDateTime),
    Column("last_answer", text(16)),
    Index("ix_refunds_payment", "payment_id"),
    Index("ix_refunds_next_ask", "next_ask_at"),
)

# One row a booking: of a payment that is being stored and a cancellation, one waits for the other.
booking_fences = Table(
    "booking_fences",
    metadata,
    Column("booking_reference", text(64), primary_key=True),
    # NULL: payments may be taken.
    Column("called_off_at", UtcDateTime),
    # When its payer was erased, and the keys of its payment: whoever still repeats the charge would
    # take money again.
    Column("erased_at", UtcDateTime),
    Column("reason", text(200), nullable=False),
)

# Only ever added to. What belongs together lies together.
payment_log = Table(
    "payment_log",
    metadata,
    Column("payment_id", text(64), primary_key=True),
    Column("entry_id", Int64, primary_key=True, autoincrement=False),
    Column("happened_at", UtcDateTime, nullable=False),
    Column("actor", text(128), nullable=False),
    Column("action", text(16), nullable=False),
    Column("answer", text(16), nullable=False),
    Column("detail", text(255), nullable=False),
    Column("refund_id", text(64), nullable=False),
    Column("status", text(24), nullable=False),
    Index("ix_payment_log_actor", "actor"),
)

# The key is the guard: an event is stored with its effect, and so takes effect once.
webhook_events = Table(
    "webhook_events",
    metadata,
    Column("provider", text(32), primary_key=True),
    Column("event_id", text(255), primary_key=True),
    # A payment or a refund, by our name for it.
    Column("reference", text(64), nullable=False),
    Column("answer", text(16), nullable=False),
    Column("detail", text(255), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    # When to look again for what it is about; NULL: it took effect, or it never will.
    Column("next_try_at", UtcDateTime),
    Column("tries", Int64, nullable=False),
    Index("ix_webhook_events_next_try", "next_try_at"),
    Index("ix_webhook_events_received", "received_at"),
)

idempotency_keys = keys_table(metadata)
outbox = outbox_table(metadata)
outbox_counter = outbox_counter_table(metadata)
