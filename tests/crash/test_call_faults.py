"""Whatever happens to a call between the services on its way, it happened once or not at all."""

import ast
from dataclasses import replace
from typing import Any

import pytest
from support.crash_proxy import Fault, proxied
from support.crash_scenarios import SCENARIOS, live_through
from support.crash_seams import Plan
from support.crash_world import BOOKING, INVENTORY, PAYMENT, World, together
from support.databases import SQLITE
from support.source import ROOT

BY_NAME = {one.name: one for one in SCENARIOS}
# Each method that the bookings call: of which service, and in which scenario.
CALLS = {
    "GetReservations": (INVENTORY, "confirmed"),
    "ExtendReservations": (INVENTORY, "confirmed"),
    "ConfirmReservations": (INVENTORY, "confirmed"),
    "CancelReservations": (INVENTORY, "cancelled"),
    "ProcessPayment": (PAYMENT, "confirmed"),
    "ListPayments": (PAYMENT, "taken over"),
    "CancelPayment": (PAYMENT, "cancelled"),
}
# Short deadlines, so that a test need not wait for them.
HURRY = Plan(constants={"booking_svc.clients.inventory.TIMEOUT_S": 0.5})
SETTINGS = {"BOOKING_PAYMENT_TIMEOUT_S": "0.5", "BOOKING_CHARGE_GIVE_UP_S": "60"}


def test_every_call_of_another_service_is_spoiled() -> None:
    """Each method that the bookings call is part of the tests of broken calls, but for streams."""
    paths = (ROOT / BOOKING / "clients").glob("*.py")
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    called = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self._stub"
    }
    assert called - {"StreamPaymentEvents"} == set(CALLS)


@pytest.mark.parametrize("method", CALLS)
async def test_a_call_may_fail_in_every_way(worlds: Any, method: str) -> None:
    """Refused, lost, late, doubled or answered by another: the outcome is the same, once."""
    made = {fault: await worlds(SQLITE, **SETTINGS) for fault in Fault}
    await together({fault: _survives(made[fault], method, fault) for fault in Fault})


async def _survives(world: World, method: str, fault: Fault) -> None:
    service, name = CALLS[method]
    scenario = BY_NAME[name]
    replicas = await world.start(service), await world.start_beside(service)
    async with proxied([one.address for one in replicas], method, fault) as (proxy, address):
        world.through[service] = address
        deaths = [(scenario.after,)] if scenario.after else []
        answer = await live_through(world, replace(scenario, plans={BOOKING: HURRY}), deaths)
        assert answer == scenario.answer
        assert proxy.spoiled
