"""Settings of the payment adapter, from the environment, with the prefix `PAYMENT_`."""

from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import Address, DatabaseUrl, ServiceSettings


class PaymentSettings(ServiceSettings):
    """What the payment adapter can be told."""

    model_config = SettingsConfigDict(env_prefix="PAYMENT_")

    listen: Address = Field(default="127.0.0.1:50052", description="address to serve on, HOST:PORT")
    database_url: DatabaseUrl = Field(
        default="sqlite+aiosqlite:///var/payment.db", description="SQLAlchemy URL of its database"
    )
    provider: Literal["mock"] = Field(default="mock", description="the payment provider: mock")
    provider_timeout_s: float = Field(
        default=25, gt=0, description="seconds that the provider has to answer"
    )
    reconcile_interval_s: float = Field(
        default=1,
        gt=0,
        description="seconds between two looks for payments about which the provider must be asked",
    )
    mock_database_url: DatabaseUrl = Field(
        default="sqlite+aiosqlite:///var/provider.db",
        description="SQLAlchemy URL of the mock provider's own books, one for all replicas",
    )
    mock_success_rate: float = Field(
        default=0.9, ge=0, le=1, description="share of charges that the mock provider lets succeed"
    )
    mock_delay_min_s: float = Field(
        default=0.5, ge=0, description="seconds that the mock provider takes at least"
    )
    mock_delay_max_s: float = Field(
        default=1.5, ge=0, description="seconds that the mock provider takes at most"
    )
    mock_seed: str = Field(
        default="",
        description="another seed lets the mock provider decide otherwise about one payment id",
    )

    @model_validator(mode="after")
    def _delays_in_order(self) -> "PaymentSettings":
        if self.mock_delay_min_s > self.mock_delay_max_s:
            message = "PAYMENT_MOCK_DELAY_MIN_S: must not be more than PAYMENT_MOCK_DELAY_MAX_S"
            raise ValueError(message)
        return self
