"""What the inventory measures; what every program measures is in `chassis/metrics.py`."""

from collections.abc import Iterable

from prometheus_client import Counter

from inventory_svc.domain.reservation import Reservation, ReservationStatus

RESERVATIONS = Counter(
    "holdfast_reservations", "Reservations that came to have this status", ["status"]
)
SEATS_REFUSED = Counter(
    "holdfast_seats_refused", "Seats that were asked for and were somebody else's"
)


def count(changed: Iterable[Reservation]) -> None:
    """Count reservations by what they have just come to be."""
    for one in changed:
        RESERVATIONS.labels(one.status).inc()


# Series that are there from the start: a rate of the first of its kind sees it rise from 0.
for _status in ReservationStatus:
    RESERVATIONS.labels(_status)
