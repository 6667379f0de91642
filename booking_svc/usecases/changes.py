"""Who waits for a booking to change, inside this process."""

from weakref import WeakValueDictionary

from chassis.bell import Bell


class Changes:
    """A bell for each booking that somebody waits for."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._bells: WeakValueDictionary[int, Bell] = WeakValueDictionary()

    def of(self, booking_id: int) -> Bell:
        """The bell of a booking. It is there for as long as somebody keeps it."""
        bell = self._bells.get(booking_id)
        if bell is None:
            bell = self._bells[booking_id] = Bell()
        return bell

    def ring(self, booking_id: int) -> None:
        """Wake all who wait for a booking."""
        bell = self._bells.get(booking_id)
        if bell is not None:
            bell.ring()
