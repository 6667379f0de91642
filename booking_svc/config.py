"""Settings of the orchestrator, from the environment, with the prefix `BOOKING_`."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from chassis import addresses
from chassis.settings import Address, DatabaseUrl, ServiceSettings


def _redis_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if addresses.of_sentinels(url) is not None:
        return value
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0
        number = parts.path.strip("/")
    except ValueError:
        usable, number = False, ""
    if url and (not usable or (number and not number.isdecimal())):
        # Without the address: what is wrong with it may be in its password.
        message = (
            "must be redis://[:PASSWORD@]HOST:PORT[/NUMBER], or rediss:// for TLS, or"
            " redis+sentinel://[:PASSWORD@]HOST:PORT,…/NAME[/NUMBER]"
        )
        raise ValueError(message)
    return value


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]


class BookingSettings(ServiceSettings):
    """What the orchestrator can be told."""

    model_config = SettingsConfigDict(env_prefix="BOOKING_")

    listen: Address = Field(default="127.0.0.1:50051", description="address to serve on, HOST:PORT")
    database_url: DatabaseUrl = Field(
        default="sqlite+aiosqlite:///var/booking.db", description="SQLAlchemy URL of its database"
    )
    redis_url: RedisUrl = Field(
        default=SecretStr(""),
        description="Redis that answers repeats fast, as redis://[:PASSWORD@]HOST:PORT[/NUMBER], or"
        " the sentinels that know it, as redis+sentinel://[:PASSWORD@]HOST:PORT,…/NAME[/NUMBER];"
        " empty: the database answers them",
    )
    idempotency_ttl_s: float = Field(
        default=86_400, gt=0, description="seconds that Redis remembers an answer"
    )
    idempotency_retention_s: float = Field(
        default=2_592_000,
        gt=0,
        description="seconds after which an idempotency key is forgotten and free again; not"
        " before its booking is settled",
    )
    events_retention_s: float = Field(
        default=7_776_000,
        ge=3600,
        description="seconds after which an event of a booking is forgotten; a reader that was away"
        " for longer is told so, and begins anew",
    )
    history_retention_s: float = Field(
        default=31_536_000,
        ge=3600,
        description="seconds after which the steps of a saga that has ended are forgotten; not what"
        " an operator did",
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
    charge_give_up_s: float = Field(
        default=900,
        gt=0,
        le=3600,
        description="seconds after which a payment without an outcome is called off",
    )
    late_payment: Literal["refund", "reaccept"] = Field(
        default="refund",
        description="a payment that comes too late for its hold: refund, or reaccept (take the"
        " seats again if they are still free, else refund)",
    )
    lease_s: float = Field(
        default=15,
        gt=0,
        description="seconds after which others take over the sagas of a process that is gone",
    )
    recovery_interval_s: float = Field(
        default=2, gt=0, description="seconds between two looks for sagas to take over"
    )
    sagas_max: int = Field(
        default=500,
        ge=1,
        description="bookings in the making at once in one process; more are refused as OVERLOADED",
    )
    undo_tries_max: int = Field(
        default=300,
        ge=1,
        description="tries of an undo, over some twelve hours, after which its saga waits for an"
        " operator",
    )

    @model_validator(mode="after")
    def _keys_outlive_copies(self) -> Self:
        if self.idempotency_retention_s < self.idempotency_ttl_s:
            message = (
                "BOOKING_IDEMPOTENCY_RETENTION_S: must be at least BOOKING_IDEMPOTENCY_TTL_S,"
                f" which is {self.idempotency_ttl_s:g}: or Redis would answer for keys that are"
                " free again"
            )
            raise ValueError(message)
        return self
