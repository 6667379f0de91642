"""Seeing to it that no money stays taken for a booking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chassis.idempotency import Claim, fingerprint
from chassis.tasks import Tasks
from payment_svc.domain.log import Action, Saying
from payment_svc.domain.outcome import Answer
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from payment_svc.ports import Ledger
from payment_svc.usecases.asking import charge_of
from payment_svc.usecases.parallel import for_each
from payment_svc.usecases.settling import Settling, Told


@dataclass(frozen=True)
class Cancellation:
    """A booking to call off."""

    key: str
    # Whose key it is, too: whichever replica asks, the key means the same.
    booking_reference: str
    reason: str
    # Who asks, for the log.
    caller: str


@dataclass(frozen=True)
class Cancelled:
    """The payments of the booking, oldest first, and whether the key was used before."""

    payments: Sequence[Payment]
    replayed: bool


@dataclass(frozen=True)
class _Void:
    """A charge to call off."""

    payment: Payment


@dataclass(frozen=True)
class _GiveBack:
    """Money to give back."""

    payment: Payment
    refund: Refund


_Undoing = _Void | _GiveBack


@dataclass(frozen=True)
class _Begun:
    undoing: Sequence[_Undoing]
    replayed: bool


class CancelPayment:
    """Calls bookings off: what is taken goes back, and nothing is taken any more."""

    def __init__(self, settling: Settling, tasks: Tasks) -> None:
        """Work on these; what has begun goes on as one of `tasks` when the caller leaves."""
        self._settling = settling
        self._records = settling.records
        self._asking = settling.asking
        self._tasks = tasks

    async def __call__(self, request: Cancellation) -> Cancelled:
        """Call a booking off; all its payments as they then are.

        Raises:
            IdempotencyKeyReused: as named.
        """
        return await self._tasks.finish(self._cancel(request), "cancel")

    async def _cancel(self, request: Cancellation) -> Cancelled:
        begun = await self._records.write(lambda ledger: self._begin(ledger, request))
        await for_each(begun.undoing, self._undo)
        payments = await self._records.read(
            lambda ledger: ledger.payments_of(request.booking_reference)
        )
        return Cancelled(payments, begun.replayed)

    async def _begin(self, ledger: Ledger, request: Cancellation) -> _Begun:
        """Call off, wholly in one transaction: no payment can come in between."""
        replayed = await self._claim(ledger, request)
        now = self._records.clock.now()
        await ledger.call_off(request.booking_reference, request.reason, now)
        begun: list[_Undoing] = []
        for found in await ledger.payments_of(request.booking_reference):
            payment = await ledger.lock_payment(found.payment_id)
            if payment is not None:
                begun += await self._call_off(ledger, payment, request)
        return _Begun(begun, replayed)

    async def _claim(self, ledger: Ledger, request: Cancellation) -> bool:
        """Whether the key was used before. To call off again is safe, so it is done again."""
        if not request.key:
            return False
        booking, now = request.booking_reference, self._records.clock.now()
        digest = fingerprint("CancelPayment", request.reason)
        earlier = await ledger.keys.claim(Claim(booking, request.key, digest, booking, now))
        if earlier is not None:
            earlier.require_same_request(digest)
        return earlier is not None

    async def _call_off(
        self, ledger: Ledger, payment: Payment, request: Cancellation
    ) -> list[_Undoing]:
        off = payment.off()
        undoing: list[_Undoing] = [
            _GiveBack(payment, one) for one in await self._taken_over(ledger, payment)
        ]
        asked = Saying(request.caller, Action.CANCEL, Answer.ASKED, request.reason)
        if self._is_to_be_voided(payment):
            cancelled = off.cancelled() if _is_pending(payment) else off
            off = replace(cancelled, leased_until=self._asking.lease_end())
            undoing.append(_Void(off))
        await self._records.note(ledger, off, asked)
        if off.must_go_back:
            off, refund = await self._settling.take_back(
                ledger, off, request.reason, request.caller
            )
            undoing.append(_GiveBack(off, refund))
        await self._records.save(ledger, payment, off)
        return undoing

    def _is_to_be_voided(self, payment: Payment) -> bool:
        """Whether its charge may still come, and nobody else is calling it off."""
        if _is_pending(payment):
            # Whoever is charging it has a lease, and must not be waited for.
            return True
        off = payment.status is PaymentStatus.CANCELLED and not payment.transaction_id
        is_open = off and payment.next_ask_at is not None
        return is_open and payment.leased_until <= self._records.clock.now()

    async def _taken_over(self, ledger: Ledger, payment: Payment) -> list[Refund]:
        """The refunds that were left open, leased to this process."""
        taken = []
        now = self._records.clock.now()
        for refund in await ledger.refunds_of(payment.payment_id):
            if refund.status is RefundStatus.PENDING and refund.leased_until <= now:
                leased = refund.taken_over(self._asking.lease_end())
                await ledger.save_refund(leased)
                taken.append(leased)
        return taken

    async def _undo(self, undoing: _Undoing) -> None:
        payment = undoing.payment
        match undoing:
            case _GiveBack(refund=refund):
                await self._settling.give_back(payment, refund)
            case _Void():
                void = self._asking.provider.void(charge_of(payment))
                outcome = await self._asking.ask(void, payment.payment_id)
                await self._settling.charged(payment, Told(Action.VOID, outcome))


def _is_pending(payment: Payment) -> bool:
    return payment.status is PaymentStatus.PENDING
