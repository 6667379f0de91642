"""What every `Provider` must do. Inherit `ProviderSuite` and give it a fixture `subject`."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from chassis.cards import Card, Method
from chassis.clock import Clock
from payment_svc.domain.errors import WebhookRefused
from payment_svc.domain.outcome import DeclineCode, Declined, NotDone, Outcome, Succeeded
from payment_svc.ports import Charge, Provider, Return

GOOD = Card("CREDIT_CARD", "4242424242424242", 12, 2030, "123")
POOR = Card("CREDIT_CARD", "4000000000009995", 12, 2030, "123")
AMOUNT_MINOR = 15000


@dataclass(frozen=True)
class Subject:
    """A provider under test, and what it needs to be tested."""

    provider: Provider
    clock: Clock
    # A means of payment with which a charge succeeds at once.
    good: Method = GOOD
    # One with which it is declined at once,
    poor: Method = POOR
    # after this was called,
    decline: Callable[[], Any] = lambda: None
    # for this reason.
    code: DeclineCode = DeclineCode.INSUFFICIENT_FUNDS

    def new(self, amount_minor: int = AMOUNT_MINOR) -> Charge:
        """A charge that no provider has seen."""
        return Charge(f"pay_{secrets.token_hex(8)}", amount_minor, "USD", self.clock.now())

    def back(self, taken: Outcome, amount_minor: int = AMOUNT_MINOR) -> Return:
        """A return of what was taken, which no provider has seen."""
        assert isinstance(taken, Succeeded)
        reference = f"ref_{secrets.token_hex(8)}"
        return Return(reference, taken.transaction_id, amount_minor, "USD", self.clock.now())


class ProviderSuite:
    """The promises of the port `Provider`, one test each."""

    def test_it_has_a_name(self, subject: Subject) -> None:
        """A provider has a name that fits a route."""
        assert subject.provider.name
        assert subject.provider.name.isalpha()

    def test_its_test_cards_are_whole(self, subject: Subject) -> None:
        """Test cards have names, tokens and descriptions, and each name and token is of one."""
        cards = subject.provider.known_cards()
        assert all(one.name and one.token and one.description and one.outcome for one in cards)
        assert len({one.name for one in cards}) == len({one.token for one in cards}) == len(cards)

    def test_it_takes_what_is_in_order(self, subject: Subject) -> None:
        """A means of payment that can be charged passes the check, whether it has money or not."""
        subject.provider.check(subject.new(), subject.good)
        subject.provider.check(subject.new(), subject.poor)

    async def test_a_charge_is_one_charge(self, subject: Subject) -> None:
        """A charge has the same outcome when it is asked for again, or looked up, at any time."""
        charge, provider = subject.new(), subject.provider
        first = await provider.charge(charge, subject.good)
        assert isinstance(first, Succeeded)
        assert first.transaction_id
        assert await provider.charge(charge, subject.good) == first
        assert await provider.lookup(charge) == first
        assert await provider.charge(subject.new(), subject.good) != first

    async def test_equal_charges_at_once_are_one(self, subject: Subject) -> None:
        """Equal charges that come at the same time are one charge."""
        charge, provider = subject.new(), subject.provider
        said = await asyncio.gather(*(provider.charge(charge, subject.good) for _ in range(3)))
        taken = await provider.lookup(charge)
        assert isinstance(taken, Succeeded)
        # A provider may refuse to serve two at once; it must not take two.
        assert {one for one in said if isinstance(one, Succeeded)} <= {taken}
        assert await provider.charge(charge, subject.good) == taken

    async def test_a_decline_stays_one(self, subject: Subject) -> None:
        """A charge that was declined is so to whoever asks, and a void finds nothing to undo."""
        charge, provider = subject.new(), subject.provider
        subject.decline()
        declined = await provider.charge(charge, subject.poor)
        assert declined == Declined(subject.code)
        assert await provider.charge(charge, subject.poor) == declined
        assert await provider.lookup(charge) == declined
        assert await provider.void(charge) == NotDone()

    async def test_what_was_never_seen(self, subject: Subject) -> None:
        """A charge that was never seen is NotDone, and to look it up takes and changes nothing."""
        charge, provider = subject.new(), subject.provider
        assert await provider.lookup(charge) == NotDone()
        assert await provider.lookup(charge) == NotDone()
        assert isinstance(await provider.charge(charge, subject.good), Succeeded)

    async def test_voided_in_time(self, subject: Subject) -> None:
        """A charge that comes after its void is NotDone for ever."""
        charge, provider = subject.new(), subject.provider
        for _ in range(2):
            assert await provider.void(charge) == NotDone()
            assert await provider.charge(charge, subject.good) == NotDone()
            assert await provider.lookup(charge) == NotDone()

    async def test_voided_too_late(self, subject: Subject) -> None:
        """A void of what is taken tells so, by the name of the charge, and changes nothing."""
        charge, provider = subject.new(), subject.provider
        taken = await provider.charge(charge, subject.good)
        for _ in range(2):
            assert await provider.void(charge) == taken
        assert await provider.lookup(charge) == taken

    async def test_a_refund_is_one_refund(self, subject: Subject) -> None:
        """A refund has the same outcome when it is asked for again."""
        taken = await subject.provider.charge(subject.new(), subject.good)
        order = subject.back(taken)
        first = await subject.provider.refund(order)
        assert isinstance(first, Succeeded)
        assert await subject.provider.refund(order) == first

    async def test_refunds_of_parts_are_several(self, subject: Subject) -> None:
        """Two refunds of the same part with different references are two."""
        taken = await subject.provider.charge(subject.new(), subject.good)
        said = [await subject.provider.refund(subject.back(taken, 5000)) for _ in range(2)]
        assert all(isinstance(one, Succeeded) for one in said)
        assert said[0] != said[1]

    @pytest.mark.parametrize("headers", [{}, {"webhook-id": "msg_1", "x-signature": "bad"}])
    def test_an_unsigned_webhook_is_refused(
        self, subject: Subject, headers: dict[str, str]
    ) -> None:
        """A webhook without a signature, or with a wrong one, is refused."""
        for body in (b'{"type": "charge.succeeded", "data": {"reference": "pay_1"}}', b"", b"\xff"):
            with pytest.raises(WebhookRefused):
                subject.provider.read_webhook(headers, body)
