"""Taking a payment."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace

from chassis import money
from chassis.cards import Method
from chassis.errors import DependencyUnavailable, IdempotencyKeyInUse, InvalidField, Overloaded
from chassis.idempotency import Claim, fingerprint
from chassis.tasks import Tasks
from payment_svc.domain.errors import PaymentNotFound
from payment_svc.domain.limits import Limits
from payment_svc.domain.log import Action, Saying
from payment_svc.domain.outcome import Answer, NotDone, Outcome
from payment_svc.domain.payment import Payment, PaymentStatus
from payment_svc.ports import Ledger
from payment_svc.usecases.asking import charge_of
from payment_svc.usecases.settling import Settling, Told

# How often a payment is looked at while its provider is waited for.
LOOK_S = 1.0


@dataclass(frozen=True)
class NewPayment:
    """A payment to take."""

    key: str
    amount: str
    currency: str
    booking_reference: str
    # Who pays, and whose key it is: whichever replica asks, the key means the same.
    user_id: str
    method: Method
    # Who asks, for the log.
    caller: str


@dataclass(frozen=True)
class Processed:
    """A payment, and whether the key named it before."""

    payment: Payment
    replayed: bool


class ProcessPayment:
    """Takes payments: each key once, whatever is repeated or lost."""

    def __init__(self, settling: Settling, tasks: Tasks, limits: Limits) -> None:
        """Work on these; what has begun goes on as one of `tasks` when the caller leaves."""
        self._limits = limits
        self._settling = settling
        self._records = settling.records
        self._asking = settling.asking
        self._tasks = tasks

    async def __call__(self, request: NewPayment) -> Processed:
        """Take a payment, or return the one that the key named before.

        Raises:
            InvalidField: a bad amount, currency or card, or one that is not taken here.
            IdempotencyKeyReused, IdempotencyKeyInUse: as named.
        """
        return await self._tasks.finish(self._process(request, _amount_minor(request)), "charge")

    async def _process(self, request: NewPayment, amount_minor: int) -> Processed:
        begun = await self._records.write(lambda ledger: self._begin(ledger, request, amount_minor))
        if begun.payment.status is not PaymentStatus.PENDING:
            return begun
        charging = self._tasks.spawn(self._charge(begun, request.method), begun.payment.payment_id)
        return replace(begun, payment=await self._settled(charging, begun.payment.payment_id))

    async def _settled(self, charging: asyncio.Task[Payment], payment_id: str) -> Payment:
        """The payment when its charge is answered, or when it is settled before that.

        A webhook may be faster than the answer, and a provider that hangs gives none.
        """
        while True:
            await asyncio.wait({charging}, timeout=LOOK_S)
            if charging.done():
                return await charging
            with suppress(DependencyUnavailable, Overloaded):
                payment = await self._records.read(lambda ledger: ledger.payment(payment_id))
                if payment is not None and payment.status is not PaymentStatus.PENDING:
                    return payment

    async def _begin(self, ledger: Ledger, request: NewPayment, amount_minor: int) -> Processed:
        """Store the intent, or find the payment of an earlier call, maybe left open."""
        now = self._records.clock.now()
        payment = Payment(
            payment_id=self._records.ids.text("pay"),
            booking_reference=request.booking_reference,
            user_id=request.user_id,
            currency=request.currency,
            amount_minor=amount_minor,
            method=request.method.summary(),
            created_at=now,
            leased_until=self._asking.lease_end(),
            next_ask_at=now,
        )
        digest = _fingerprint(request, amount_minor)
        claim = Claim(request.user_id, request.key, digest, payment.payment_id, now)
        earlier = await ledger.keys.claim(claim) if request.key else None
        # As of the first call: a repeat gets its answer even if the card has expired since.
        request.method.check((earlier or claim).created_at.date())
        if earlier is not None:
            earlier.require_same_request(digest)
            found = await self._take_over(ledger, earlier.subject, request.caller)
            return Processed(found, replayed=True)
        self._limits.check(amount_minor, request.currency)
        charge, provider = charge_of(payment), self._asking.provider
        self._asking.at_once(lambda: provider.check(charge, request.method))
        if not await ledger.may_charge(payment.booking_reference):
            payment = payment.cancelled().off().closed()
        await self._records.add(ledger, payment, _asked(request))
        return Processed(payment, replayed=False)

    async def _take_over(self, ledger: Ledger, payment_id: str, caller: str) -> Payment:
        payment = await ledger.lock_payment(payment_id)
        if payment is None:
            raise PaymentNotFound(payment_id)
        if payment.status is not PaymentStatus.PENDING:
            return payment
        if payment.leased_until > self._records.clock.now():
            raise IdempotencyKeyInUse
        leased = replace(payment, leased_until=self._asking.lease_end())
        await self._records.save(ledger, payment, leased)
        again = Saying(caller, Action.CHARGE, Answer.ASKED, "again")
        await self._records.note(ledger, leased, again)
        return leased

    async def _charge(self, begun: Processed, method: Method) -> Payment:
        """Charge, and store what came of it. What was asked for before is looked up first."""
        charge, provider = charge_of(begun.payment), self._asking.provider
        asked = Action.LOOKUP if begun.replayed else Action.CHARGE

        async def question() -> Outcome:
            nonlocal asked
            if asked is Action.LOOKUP:
                found = await provider.lookup(charge)
                if not isinstance(found, NotDone):
                    return found
            asked = Action.CHARGE
            return await provider.charge(charge, method)

        outcome = await self._asking.insist(question, charge.reference)
        return await self._settling.charged(begun.payment, Told(asked, outcome))


def _asked(request: NewPayment) -> Saying:
    detail = f"{request.amount} {request.currency} for {request.booking_reference}"
    return Saying(request.caller, Action.CHARGE, Answer.ASKED, detail)


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
        *request.method.fingerprint_parts(),
    )
