"""Events, seats and reservations that expire: the reference inventory."""
