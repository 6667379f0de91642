"""Settings of the orchestrator, from the environment, with the prefix `BOOKING_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import Address, DatabaseUrl, ServiceSettings


class BookingSettings(ServiceSettings):
    """What the orchestrator can be told."""

    model_config = SettingsConfigDict(env_prefix="BOOKING_")

    listen: Address = Field(default="127.0.0.1:50051", description="address to serve on, HOST:PORT")
    database_url: DatabaseUrl = Field(
        default="sqlite+aiosqlite:///var/booking.db", description="SQLAlchemy URL of its database"
    )
    payment_target: str = Field(
        default="127.0.0.1:50052", description="where the payment adapter is, as a gRPC target"
    )
    inventory_target: str = Field(
        default="127.0.0.1:50053", description="where the inventory is, as a gRPC target"
    )
    payment_timeout_s: float = Field(
        default=30,
        gt=0,
        le=1200,
        description="seconds that one call for a payment or refund may take",
    )
