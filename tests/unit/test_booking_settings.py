"""What the orchestrator can be told about Redis and the lifetime of keys."""

import pytest

from booking_svc.config import BookingSettings
from chassis.settings import SettingsError, load

SECRET = "s3cret"


@pytest.mark.parametrize(
    "url",
    ["", "redis://127.0.0.1:6379", f"redis://:{SECRET}@cache:6379/3", f"rediss://u:{SECRET}@cache"],
)
def test_the_address_of_redis(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Redis, one with a password, one behind TLS: all can be told; the password never shows."""
    monkeypatch.setenv("BOOKING_REDIS_URL", url)
    settings = load(BookingSettings)
    assert settings.redis_url.get_secret_value() == url
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@cache:6379",
        f"redis://:{SECRET}@",
        f"redis://:{SECRET}/x@cache:6379",
        f"redis://:{SECRET}@cache:port",
        f"redis://:{SECRET}@cache:6379/first",
        SECRET,
    ],
)
def test_no_address_of_redis(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong address is refused at the start, without showing it."""
    monkeypatch.setenv("BOOKING_REDIS_URL", url)
    with pytest.raises(SettingsError, match="BOOKING_REDIS_URL: must be redis://") as caught:
        load(BookingSettings)
    assert SECRET not in str(caught.value)


def test_a_key_outlives_the_copy_of_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retention shorter than the time to live in Redis is refused at the start, by name."""
    monkeypatch.setenv("BOOKING_IDEMPOTENCY_TTL_S", "100")
    monkeypatch.setenv("BOOKING_IDEMPOTENCY_RETENTION_S", "100")
    assert load(BookingSettings).idempotency_retention_s == 100
    monkeypatch.setenv("BOOKING_IDEMPOTENCY_RETENTION_S", "99")
    with pytest.raises(SettingsError) as caught:
        load(BookingSettings)
    assert str(caught.value).startswith(
        "BOOKING_IDEMPOTENCY_RETENTION_S: must be at least BOOKING_IDEMPOTENCY_TTL_S"
    )
