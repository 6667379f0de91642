"""The sweeper tidies, and nothing else changes by it."""

from support import build
from support.clock import ManualClock
from support.databases import Databases
from support.inventory import InventoryPeople, hosted_inventory
from support.serving import serving

from chassis.database import DatabaseTransactions
from inventory_svc.persistence.repository import SqlInventory
from inventory_svc.ports import Inventory
from inventory_svc.usecases import sweeper


async def test_sweeping_changes_no_answer(databases: Databases, clock: ManualClock) -> None:
    """Active, confirmed, cancelled, expired and re-reserved look the same before and after."""
    database = await databases.fresh("inventory_svc")
    transactions = DatabaseTransactions[Inventory](database, SqlInventory)
    async with serving(await hosted_inventory(database, clock)) as channel:
        inventory = InventoryPeople(channel)
        event_id = await inventory.event([f"A{number}" for number in range(6)])
        held = await inventory.hold(event_id, "A0", "A1", "A2", "A3", ttl_s=60)
        await inventory.service.ConfirmReservations(build.confirm(held[0]))
        await inventory.service.CancelReservations(build.cancel(held[1]))
        clock.move(60)
        held += await inventory.hold(event_id, "A2", "A4", buyer="bob")

        async def seen() -> object:
            return await inventory.statuses(*held), await inventory.seat_statuses(event_id)

        before = await seen()
        assert before[0] == ["CONFIRMED", "CANCELLED", "EXPIRED", "EXPIRED", "ACTIVE", "ACTIVE"]
        assert not await sweeper.Sweeper(transactions, clock).run_once()
        assert await seen() == before
    assert await transactions.read(lambda one: one.overdue(clock.now(), 10)) == []


async def test_more_than_a_batch_is_swept_batch_by_batch(
    databases: Databases, clock: ManualClock
) -> None:
    """A round takes one batch and says that there is more, until there is none."""
    database = await databases.fresh("inventory_svc")
    transactions = DatabaseTransactions[Inventory](database, SqlInventory)
    async with serving(await hosted_inventory(database, clock)) as channel:
        inventory = InventoryPeople(channel)
        seats = [f"A{number}" for number in range(sweeper.BATCH + 50)]
        event_id = await inventory.event(seats)
        for start in range(0, len(seats), 50):
            await inventory.hold(event_id, *seats[start : start + 50], ttl_s=60)
    tidy = sweeper.Sweeper(transactions, clock)
    assert not await tidy.run_once()
    clock.move(60)
    assert [await tidy.run_once(), await tidy.run_once()] == [True, False]
    assert await transactions.read(lambda one: one.overdue(clock.now(), 1)) == []
