"""What a provider has told unasked, as it is kept: each event once."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from payment_svc.domain.outcome import Notice

# What is told of a payment that is not here yet is tried again after 5 s, 10 s, … up to an hour,
# for as long as providers themselves repeat a webhook.
TRY_AFTER_S = 5
DOUBLINGS_MAX = 10
TRY_AFTER_MAX_S = 3600
GIVEN_UP_AFTER = timedelta(days=3)


@dataclass(frozen=True)
class Webhook:
    """An event of a provider, and whether it took effect."""

    provider: str
    notice: Notice
    received_at: datetime
    # When to look again for what it is about; none: it took effect, or it never will.
    next_try_at: datetime | None = None
    tries: int = 0

    def still_unknown(self, now: datetime) -> "Webhook":
        """The same, about something that is not here; it is tried again for three days."""
        pause_s = min(TRY_AFTER_MAX_S, TRY_AFTER_S * 2 ** min(self.tries, DOUBLINGS_MAX))
        next_try_at = now + timedelta(seconds=pause_s)
        given_up = next_try_at - self.received_at > GIVEN_UP_AFTER
        return replace(self, next_try_at=None if given_up else next_try_at, tries=self.tries + 1)

    def took_effect(self) -> "Webhook":
        """The same, done."""
        return replace(self, next_try_at=None, tries=self.tries + 1)
