"""Settings of the inventory, from the environment, with the prefix `INVENTORY_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import Address, DatabaseUrl, ServiceSettings


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
    sweep_interval_s: float = Field(
        default=30, gt=0, description="seconds between two rounds of tidying expired reservations"
    )
