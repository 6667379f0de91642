"""Settings of the gateway that would do nothing, or something else than was meant."""

import pytest
from pydantic import ValidationError

from gateway.config import GatewaySettings


@pytest.mark.parametrize(
    "origins", ["*", "shop.example", "https://shop.example/", "https://a.example,https://b.example"]
)
def test_origins_that_no_browser_sends(origins: str) -> None:
    """What can never be an origin is refused at the start, instead of allowing nobody."""
    with pytest.raises(ValidationError, match="must be origins"):
        GatewaySettings(cors_origins=origins)


@pytest.mark.parametrize("origins", ["", "https://shop.example http://[::1]:8081", "null://x"])
def test_origins(origins: str) -> None:
    """Origins are taken as they are written, by spaces, or none."""
    assert GatewaySettings(cors_origins=origins).cors_origins == origins
