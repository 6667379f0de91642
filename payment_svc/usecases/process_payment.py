"""Taking a payment."""

from dataclasses import dataclass, replace

from chassis import money
from chassis.cards import Card
from chassis.errors import IdempotencyKeyInUse, InvalidField
from chassis.idempotency import Claim, fingerprint
from chassis.tasks import Tasks
from payment_svc.domain.errors import PaymentNotFound
from payment_svc.domain.payment import Payment, PaymentStatus
from payment_svc.ports import Charge, Ledger
from payment_svc.usecases.settling import Settling


@dataclass(frozen=True)
class NewPayment:
    """A payment to take."""

    key: str
    amount: str
    currency: str
    booking_reference: str
    # Who pays, and whose key it is: whichever replica asks, the key means the same.
    user_id: str
    card: Card


@dataclass(frozen=True)
class Processed:
    """A payment, and whether the key named it before."""

    payment: Payment
    replayed: bool


class ProcessPayment:
    """Takes payments: each key once, whatever is repeated or lost."""

    def __init__(self, settling: Settling, tasks: Tasks) -> None:
        """Work on these; what has begun goes on as one of `tasks` when the caller leaves."""
        self._settling = settling
        self._records = settling.records
        self._asking = settling.asking
        self._tasks = tasks

    async def __call__(self, request: NewPayment) -> Processed:
        """Take a payment, or return the one that the key named before.

        Raises:
            InvalidField: a bad amount, currency or card.
            IdempotencyKeyReused, IdempotencyKeyInUse: as named.
        """
        return await self._tasks.finish(self._process(request, _amount_minor(request)), "charge")

    async def _process(self, request: NewPayment, amount_minor: int) -> Processed:
        begun = await self._records.write(lambda ledger: self._begin(ledger, request, amount_minor))
        if begun.payment.status is not PaymentStatus.PENDING:
            return begun
        return replace(begun, payment=await self._charge(begun.payment, request.card))

    async def _begin(self, ledger: Ledger, request: NewPayment, amount_minor: int) -> Processed:
        """Store the intent, or find the payment of an earlier call, maybe left open."""
        now = self._records.clock.now()
        payment = Payment(
            payment_id=self._records.ids.text("pay"),
            booking_reference=request.booking_reference,
            user_id=request.user_id,
            currency=request.currency,
            amount_minor=amount_minor,
            method=request.card.summary(),
            created_at=now,
            leased_until=self._asking.lease_end(),
            next_ask_at=now,
        )
        digest = _fingerprint(request, amount_minor)
        claim = Claim(request.user_id, request.key, digest, payment.payment_id, now)
        earlier = await ledger.keys.claim(claim) if request.key else None
        # As of the first call: a repeat gets its answer even if the card has expired since.
        request.card.check((earlier or claim).created_at.date())
        if earlier is None:
            if not await ledger.may_charge(payment.booking_reference):
                payment = payment.cancelled().closed()
            await self._records.add(ledger, payment)
            return Processed(payment, replayed=False)
        earlier.require_same_request(digest)
        return Processed(await self._take_over(ledger, earlier.subject), replayed=True)

    async def _take_over(self, ledger: Ledger, payment_id: str) -> Payment:
        payment = await ledger.lock_payment(payment_id)
        if payment is None:
            raise PaymentNotFound(payment_id)
        if payment.status is not PaymentStatus.PENDING:
            return payment
        if payment.leased_until > self._records.clock.now():
            raise IdempotencyKeyInUse
        payment = replace(payment, leased_until=self._asking.lease_end())
        await ledger.save_payment(payment)
        return payment

    async def _charge(self, payment: Payment, card: Card) -> Payment:
        order = Charge(payment.payment_id, payment.amount_minor, payment.currency, card)
        outcome = await self._asking.ask(self._asking.provider.charge(order), payment.payment_id)
        return await self._settling.charged(payment, outcome)


def _amount_minor(request: NewPayment) -> int:
    try:
        money.exponent(request.currency)
    except money.MoneyError as error:
        raise InvalidField(("currency", str(error))) from None
    try:
        return money.to_minor(request.amount, request.currency)
    except money.MoneyError as error:
        raise InvalidField(("amount", str(error))) from None


def _fingerprint(request: NewPayment, amount_minor: int) -> str:
    return fingerprint(
        "ProcessPayment",
        amount_minor,
        request.currency,
        request.booking_reference,
        request.user_id,
        *request.card.fingerprint_parts(),
    )
