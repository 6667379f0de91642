"""The inventory in a saga: repeats, late calls and calls out of order do no harm."""

import pytest
from support import build
from support.client import refused
from support.clock import ManualClock
from support.inventory import InventoryPeople


async def test_do_after_do(inventory: InventoryPeople, clock: ManualClock) -> None:
    """A repeated confirmation gives the first answer again, even after the hold would be over."""
    held = await inventory.hold(await inventory.event(), "A1", "A2", ttl_s=60)
    first = await inventory.service.ConfirmReservations(build.confirm(*held))
    clock.move(3600)
    again = await inventory.service.ConfirmReservations(build.confirm(*held))
    assert again == first
    assert await inventory.statuses(*held) == ["CONFIRMED", "CONFIRMED"]


@pytest.mark.parametrize("wait_s", [0, 60], ids=["active", "expired"])
@pytest.mark.parametrize("written_down", [False, True], ids=["as it is", "written down"])
async def test_undo_without_do(
    inventory: InventoryPeople,
    clock: ManualClock,
    wait_s: float,
    written_down: bool,  # noqa: FBT001
) -> None:
    """Cancelling what was never confirmed succeeds; a confirmation that comes late is refused."""
    (held,) = await inventory.hold(await inventory.event(), "A1", ttl_s=60)
    clock.move(wait_s)
    if written_down:
        # For no booking: what is over by then is written down as EXPIRED.
        await inventory.service.CancelReservations(build.cancel(held, booking=""))
    await inventory.service.CancelReservations(build.cancel(held))
    with refused("RESERVATION_NOT_ACTIVE"):
        await inventory.retake(held)
    # A replica whose clock is behind must refuse it too.
    clock.move(-wait_s)
    with refused("RESERVATION_NOT_ACTIVE"):
        await inventory.service.ConfirmReservations(build.confirm(held))
    assert await inventory.statuses(held) == ["CANCELLED"]


async def test_undo_after_undo(inventory: InventoryPeople) -> None:
    """A repeated cancellation succeeds, and leaves the next holder of the seat alone."""
    event_id = await inventory.event()
    (old,) = await inventory.hold(event_id, "A1", buyer="ann")
    first = await inventory.service.CancelReservations(build.cancel(old))
    (new,) = await inventory.hold(event_id, "A1", buyer="bob")
    assert await inventory.service.CancelReservations(build.cancel(old)) == first
    assert await inventory.statuses(old, new) == ["CANCELLED", "ACTIVE"]


async def test_cancelling_a_confirmed_booking_frees_its_seats(inventory: InventoryPeople) -> None:
    """The seats of a booking that was confirmed are free again, for someone else at once."""
    event_id = await inventory.event()
    held = await inventory.hold(event_id, "A1", "A2", buyer="ann")
    await inventory.service.ConfirmReservations(build.confirm(*held))
    assert set((await inventory.seat_statuses(event_id)).values()) == {"BOOKED", "AVAILABLE"}
    await inventory.service.CancelReservations(build.cancel(*held))
    assert await inventory.statuses(*held) == ["CANCELLED", "CANCELLED"]
    assert await inventory.hold(event_id, "A1", "A2", buyer="bob")


async def test_a_booking_cannot_touch_the_seats_of_another(inventory: InventoryPeople) -> None:
    """Confirming for a second booking is refused; cancelling for it changes nothing."""
    event_id = await inventory.event()
    (held,) = await inventory.hold(event_id, "A1")
    await inventory.service.ConfirmReservations(build.confirm(held, booking="BK-1"))
    with refused("RESERVATION_NOT_ACTIVE", reservationIds=str(held)):
        await inventory.service.ConfirmReservations(build.confirm(held, booking="BK-2"))
    await inventory.service.CancelReservations(build.cancel(held, booking="BK-2"))
    found = await inventory.service.GetReservations(build.get(held))
    assert found.reservations[0].booking_reference == "BK-1"
    assert await inventory.statuses(held) == ["CONFIRMED"]


async def test_cancelling_for_no_booking_ends_holds_only(inventory: InventoryPeople) -> None:
    """Without a booking reference a confirmed reservation is refused, and none is cancelled."""
    first, second = await inventory.hold(await inventory.event(), "A1", "A2")
    await inventory.service.ConfirmReservations(build.confirm(first))
    with refused("RESERVATION_NOT_ACTIVE", reservationIds=str(first)):
        await inventory.service.CancelReservations(build.cancel(first, second, booking=""))
    assert await inventory.statuses(first, second) == ["CONFIRMED", "ACTIVE"]
    await inventory.service.CancelReservations(build.cancel(second, booking=""))
    assert await inventory.statuses(second) == ["CANCELLED"]


@pytest.mark.parametrize("method", ["ConfirmReservations", "CancelReservations"])
async def test_all_or_none_of_a_booking(inventory: InventoryPeople, method: str) -> None:
    """One id that does not exist refuses the call, and the others stay as they were."""
    (held,) = await inventory.hold(await inventory.event(), "A1")
    request = {"ConfirmReservations": build.confirm, "CancelReservations": build.cancel}[method]
    with refused("RESERVATION_NOT_FOUND", reservationIds="7"):
        await getattr(inventory.service, method)(request(held, 7))
    assert await inventory.statuses(held) == ["ACTIVE"]


async def test_one_that_is_over_refuses_the_confirmation_of_all(
    inventory: InventoryPeople, clock: ManualClock
) -> None:
    """If one of two holds is over, neither seat is booked."""
    event_id = await inventory.event()
    (short,) = await inventory.hold(event_id, "A1", ttl_s=60)
    (long,) = await inventory.hold(event_id, "A2", ttl_s=600)
    clock.move(60)
    with refused("RESERVATION_EXPIRED", reservationIds=str(short)):
        await inventory.service.ConfirmReservations(build.confirm(long, short))
    assert await inventory.statuses(long) == ["ACTIVE"]


@pytest.mark.parametrize("method", ["ConfirmReservations", "CancelReservations"])
async def test_a_buyer_neither_confirms_nor_cancels(
    inventory: InventoryPeople, method: str
) -> None:
    """Confirming and cancelling is for services: a buyer's token does not open them."""
    request = {"ConfirmReservations": build.confirm, "CancelReservations": build.cancel}[method]
    with refused("SCOPE_MISSING", scopes="inventory"):
        await getattr(inventory.buyer("ann"), method)(request(7))


async def test_when_seats_were_confirmed_and_freed(
    inventory: InventoryPeople, clock: ManualClock
) -> None:
    """A reservation tells when it was confirmed and when it ended; a repeat keeps both."""
    (held,) = await inventory.hold(await inventory.event(), "A1")

    async def told() -> list[float | None]:
        (one,) = (await inventory.service.GetReservations(build.get(held))).reservations
        began = one.created_at.ToMicroseconds()
        return [
            (at.ToMicroseconds() - began) / 1e6 if one.HasField(name) else None
            for name, at in (("confirmed_at", one.confirmed_at), ("ended_at", one.ended_at))
        ]

    assert await told() == [None, None]
    for _ in ("once", "again"):
        clock.move(1.5)
        await inventory.service.ConfirmReservations(build.confirm(held))
    assert await told() == [1.5, None]
    for _ in ("once", "again"):
        clock.move(1.5)
        await inventory.service.CancelReservations(build.cancel(held))
    assert await told() == [1.5, 4.5]
