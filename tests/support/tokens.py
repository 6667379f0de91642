"""Tokens that the servers of the tests trust."""

from chassis import tokens
from chassis.settings import AuthSettings
from chassis.tokens import Minter, Verifier

SECRET = "a secret of the tests, long enough for HS256"
AUDIENCE = "holdfast"
Metadata = tuple[tuple[str, str], ...]


def auth_settings() -> AuthSettings:
    return AuthSettings(jwt_secret=SECRET)


def verifier() -> Verifier:
    return tokens.verifier(auth_settings())


def token_for(user_id: str, scope: str = "bookings", lifetime_s: int = 3600) -> str:
    return Minter(SECRET, AUDIENCE).mint(user_id, scope, lifetime_s)


def metadata_for(user_id: str, scope: str = "bookings", **more: str) -> Metadata:
    """Metadata of a call; `idempotency_key="k"` becomes the pair `idempotency-key: k`."""
    pairs = {"authorization": f"Bearer {token_for(user_id, scope)}"}
    pairs.update({name.replace("_", "-"): value for name, value in more.items() if value})
    return tuple(pairs.items())
