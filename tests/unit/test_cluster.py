"""`holdfast cluster`: its addresses, what it says without a program, what its proof counts."""

import pytest

from cli.cluster import command, parts
from cli.cluster.galera import NODES
from cli.cluster.load import Seen
from cli.cluster.ports import Ports
from cli.cluster.redis import SENTINELS, SERVERS
from cli.cluster.services import REPLICAS, target
from cli.failure import Failure
from cli.programs import BOOKING, SERVICES

PORTS = Ports(20_000)


def test_no_two_parts_share_a_port() -> None:
    """Every part listens somewhere else, all within the span that the command keeps free."""
    ports = [PORTS.gateway, *map(PORTS.redis, SERVERS), *map(PORTS.sentinel, SENTINELS)]
    ports += [PORTS.service(one.prefix.lower(), each) for one in SERVICES for each in REPLICAS]
    for kind in (PORTS.database, PORTS.group, PORTS.increment, PORTS.transfer):
        ports += map(kind, NODES)
    assert len(set(ports)) == len(ports)
    assert max(ports) < PORTS.first + command.SPAN


def test_a_target_names_all_replicas() -> None:
    """Callers are told of both replicas of a service."""
    assert target(PORTS, BOOKING) == "ipv4:127.0.0.1:20011,127.0.0.1:20012"


def test_a_program_that_is_missing_is_named() -> None:
    """What is not installed is named, and the command that installs it."""
    with pytest.raises(Failure, match=r"no nothing-of-ours here.*apt-get install.*galera-4"):
        parts.program("nothing-of-ours", "nowhere")


def test_the_longest_time_without_a_booking() -> None:
    """The gap counts from the kill on, and to the end: also when nothing was booked at all."""
    seen = Seen(confirmed_at=[1.0, 5.0, 6.0, 11.0, 20.0])
    assert seen.gap_s(4.0, 10.0) == 4.0
    assert seen.gap_s(5.0, 12.0) == 5.0
    assert seen.gap_s(12.0, 19.0) == 7.0


def test_the_errors_of_a_kill_are_its_own() -> None:
    """Errors are counted by kind, within the time that is asked about."""
    seen = Seen(errors=[(1.0, "503"), (2.0, "503"), (3.0, "409"), (9.0, "503")])
    assert seen.errors_of(1.5, 5.0) == {"503": 1, "409": 1}
