"""What commands show who they are with: a token that was made elsewhere, or one made here.

Here a secret signs them, made once, readable by its owner only: that is for development.
"""

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chassis.settings import AuthSettings, load
from chassis.tokens import SECRET_BYTES_MIN, Minter
from cli.failure import Failure

SECRET_FILE = Path("var/dev-secret")
TOKEN_VARIABLE = "HOLDFAST_TOKEN"  # noqa: S105 - where it is, not what
OTHERS = 0o077


@dataclass(frozen=True)
class Signing:
    """A secret, and what makes tokens with it."""

    secret: str
    minter: Minter


class Tokens(Protocol):
    """Where the tokens of a command come from."""

    def mint(self, user_id: str, scope: str, lifetime_s: int) -> str:
        """A token that is good for this, if there is a choice."""


@dataclass(frozen=True)
class Given:
    """A token that was made elsewhere: it says for itself whose it is, and what it opens."""

    token: str

    def mint(self, user_id: str, scope: str, lifetime_s: int) -> str:  # noqa: ARG002
        """That token."""
        return self.token


def tokens() -> Tokens:
    """The token in HOLDFAST_TOKEN, or those that are made here.

    Raises:
        Failure: there is neither a token nor a secret, or the secret must not be used.
    """
    given = os.environ.get(TOKEN_VARIABLE, "").strip()
    return Given(given) if given else find().minter


def find() -> Signing:
    """`AUTH_JWT_SECRET`, or the development secret of this folder.

    Raises:
        Failure: there is no secret, or it must not be used.
    """
    settings = _settings()
    secret = settings.jwt_secret.get_secret_value()
    if not secret and not SECRET_FILE.exists():
        message = (
            f"there is no secret to sign with: neither AUTH_JWT_SECRET nor the file {SECRET_FILE}."
            " 'holdfast up' makes that file; run this command in the same folder."
        )
        raise Failure(message)
    return _signing(secret or _read(), settings)


def find_or_make() -> tuple[Signing, bool]:
    """The same, and makes the development secret if need be; whether it did.

    Raises:
        Failure: there is a secret that must not be used.
    """
    if _settings().jwt_secret.get_secret_value():
        return find(), False
    made = _make()
    return find(), made


def throwaway() -> Signing:
    """A secret for a stack that will soon be gone."""
    return _signing(secrets.token_urlsafe(SECRET_BYTES_MIN), _settings())


def _signing(secret: str, settings: AuthSettings) -> Signing:
    return Signing(secret, Minter(secret, settings.audience, settings.issuer))


def _settings() -> AuthSettings:
    settings = load(AuthSettings)
    if settings.public_key_file or settings.jwks_file:
        message = (
            "AUTH_PUBLIC_KEY_FILE or AUTH_JWKS_FILE is set: tokens are signed elsewhere, and none"
            f" can be made here. Put one that is good for this into {TOKEN_VARIABLE}; or unset it"
            " to use a development secret."
        )
        raise Failure(message)
    secret = settings.jwt_secret.get_secret_value()
    if secret and len(secret.encode()) < SECRET_BYTES_MIN:
        message = f"AUTH_JWT_SECRET must be {SECRET_BYTES_MIN} bytes or more."
        raise Failure(message)
    return settings


def _make() -> bool:
    SECRET_FILE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(SECRET_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(SECRET_BYTES_MIN))
    return True


def _read() -> str:
    mode = stat.S_IMODE(SECRET_FILE.stat().st_mode)
    if mode & OTHERS:
        message = (
            f"{SECRET_FILE} is open to other users (mode {mode:04o}), and whoever has read it can"
            " make tokens. Delete it, and 'holdfast up' makes a new one; or, if nobody has:"
            f" chmod 600 {SECRET_FILE}"
        )
        raise Failure(message)
    secret = SECRET_FILE.read_text().strip()
    if len(secret.encode()) < SECRET_BYTES_MIN:
        message = f"{SECRET_FILE} holds no secret. Delete it, and 'holdfast up' makes a new one."
        raise Failure(message)
    return secret
