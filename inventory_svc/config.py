"""Settings of the inventory, from the environment, with the prefix `INVENTORY_`."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import Address, DatabaseUrl, ServiceSettings

# A payment that came late asks for its seats within hours, an undo that fails for half a day.
ASKED_FOR_S = 172_800


class InventorySettings(ServiceSettings):
    """What the inventory can be told."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_")

    listen: Address = Field(default="127.0.0.1:50053", description="address to serve on, HOST:PORT")
    database_url: DatabaseUrl = Field(
        default="sqlite+aiosqlite:///var/inventory.db", description="SQLAlchemy URL of its database"
    )
    reservation_ttl_max_s: float = Field(
        default=1800, ge=1, description="seconds that one reservation or extension may last"
    )
    reservation_lifetime_max_s: float = Field(
        default=3600, ge=1, description="seconds that its holder may hold a seat in all"
    )
    idempotency_retention_s: float = Field(
        default=2_592_000,
        gt=0,
        description="seconds after which an idempotency key is forgotten and free again",
    )
    reservations_retention_s: float = Field(
        default=7_776_000,
        gt=0,
        description="seconds after which a reservation is forgotten that has ended and was never"
        " confirmed",
    )
    sweep_interval_s: float = Field(
        default=30, gt=0, description="seconds between two rounds of tidying expired reservations"
    )

    @model_validator(mode="after")
    def _what_is_asked_for_is_there(self) -> Self:
        if self.idempotency_retention_s < self.reservation_lifetime_max_s:
            message = (
                "INVENTORY_IDEMPOTENCY_RETENTION_S: must be at least"
                " INVENTORY_RESERVATION_LIFETIME_MAX_S, which is"
                f" {self.reservation_lifetime_max_s:g}: or a repeat would be refused the seats that"
                " the first call holds"
            )
            raise ValueError(message)
        if self.reservations_retention_s < self.idempotency_retention_s:
            message = (
                "INVENTORY_RESERVATIONS_RETENTION_S: must be at least"
                f" INVENTORY_IDEMPOTENCY_RETENTION_S, which is {self.idempotency_retention_s:g}: or"
                " a key would name reservations that are gone"
            )
            raise ValueError(message)
        if self.reservations_retention_s < ASKED_FOR_S:
            message = (
                f"INVENTORY_RESERVATIONS_RETENTION_S: must be at least {ASKED_FOR_S}, two days:"
                " bookings that are undone still ask for theirs"
            )
            raise ValueError(message)
        return self
