"""Settings of the payment adapter, from the environment, with the prefix `PAYMENT_`."""

import base64
from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import Address, DatabaseUrl, ServiceSettings

# How late a call for a payment may be repeated, and a webhook, in seconds.
REPEATED_S = 86_400
TOLD_AGAIN_S = 604_800


def _is_standard(secret: str) -> bool:
    """Whether a secret is written as Standard Webhooks says."""
    prefix, _, key = secret.partition("_")
    try:
        return prefix == "whsec" and bool(base64.b64decode(key, validate=True))
    except ValueError:
        return False


class PaymentSettings(ServiceSettings):
    """What the payment adapter can be told."""

    model_config = SettingsConfigDict(env_prefix="PAYMENT_")

    listen: Address = Field(default="127.0.0.1:50052", description="address to serve on, HOST:PORT")
    database_url: DatabaseUrl = Field(
        default="sqlite+aiosqlite:///var/payment.db", description="SQLAlchemy URL of its database"
    )
    provider: Literal["mock", "stripe"] = Field(
        default="mock", description="the payment provider: mock, or stripe"
    )
    provider_timeout_s: float = Field(
        default=25, gt=0, description="seconds that the provider has to answer"
    )
    reconcile_interval_s: float = Field(
        default=1,
        gt=0,
        description="seconds between two looks for payments about which the provider must be asked",
    )
    amount_limits: str = Field(
        default="",
        description="what one payment may be, as CURRENCY LEAST MOST, by commas, with - for no"
        " bound, such as `USD 0.50 10000.00, JPY 50 -`; empty: no limits",
    )
    webhook_secrets: SecretStr = Field(
        default=SecretStr(""),
        description="secrets of the provider's webhooks, `whsec_…`, by spaces; each is good, so"
        " that one can follow another; empty: every webhook is refused",
    )
    idempotency_retention_s: float = Field(
        default=2_592_000,
        gt=0,
        description="seconds after which an idempotency key is forgotten and free again; not"
        " before its payment or refund has its outcome",
    )
    events_retention_s: float = Field(
        default=7_776_000,
        ge=3600,
        description="seconds after which an event of a payment is forgotten; a reader that was away"
        " for longer is told so, and begins anew",
    )
    webhooks_retention_s: float = Field(
        default=7_776_000,
        gt=0,
        description="seconds after which it is forgotten that a provider's event took effect",
    )
    stripe_api_key: SecretStr = Field(
        default=SecretStr(""), description="Stripe's secret API key, `sk_…`, with provider stripe"
    )
    stripe_api_base: str = Field(
        default="https://api.stripe.com",
        description="where Stripe's API is; another for a test server",
    )
    mock_webhook_url: str = Field(
        default="",
        pattern="^(https?://.+)?$",
        description="where the mock provider sends webhooks, signed with the first of"
        " PAYMENT_WEBHOOK_SECRETS; empty: it sends none",
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

    @property
    def webhook_keys(self) -> tuple[str, ...]:
        """The secrets of webhooks, one by one."""
        return tuple(self.webhook_secrets.get_secret_value().split())

    @model_validator(mode="after")
    def _what_the_provider_needs(self) -> "PaymentSettings":
        if self.provider == "stripe" and not self.stripe_api_key.get_secret_value():
            message = "PAYMENT_STRIPE_API_KEY: not set, and PAYMENT_PROVIDER=stripe needs it"
            raise ValueError(message)
        if self.mock_webhook_url and not self.webhook_keys:
            message = "PAYMENT_WEBHOOK_SECRETS: not set, and PAYMENT_MOCK_WEBHOOK_URL needs one"
            raise ValueError(message)
        if self.provider == "mock" and not all(map(_is_standard, self.webhook_keys)):
            message = "PAYMENT_WEBHOOK_SECRETS: each must be whsec_ and then base64"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _repeats_find_what_they_repeat(self) -> "PaymentSettings":
        if self.idempotency_retention_s < REPEATED_S:
            message = (
                f"PAYMENT_IDEMPOTENCY_RETENTION_S: must be at least {REPEATED_S}, a day: a booking"
                " asks for its payment for up to an hour, a process that hung may ask later still,"
                " and a key that is free again takes money again"
            )
            raise ValueError(message)
        if self.webhooks_retention_s < TOLD_AGAIN_S:
            message = (
                f"PAYMENT_WEBHOOKS_RETENTION_S: must be at least {TOLD_AGAIN_S}, a week: providers"
                " repeat a webhook for days, and it is to take effect once"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _delays_in_order(self) -> "PaymentSettings":
        if self.mock_delay_min_s > self.mock_delay_max_s:
            message = "PAYMENT_MOCK_DELAY_MIN_S: must not be more than PAYMENT_MOCK_DELAY_MAX_S"
            raise ValueError(message)
        return self
