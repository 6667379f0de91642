"""Bearer tokens: JSON Web Tokens (RFC 7519), checked and, for development, made.

The algorithm is fixed by the key and never read from the token (RFC 8725, section 3.1).
"""

import json
import time
from pathlib import Path
from typing import Any, Protocol

import jwt
import structlog
from jwt import PyJWK, PyJWKSet

from chassis.context import Caller, is_user_id
from chassis.errors import TokenExpired, TokenInvalid
from chassis.settings import AuthSettings, SettingsError
from chassis.tls_settings import TlsSettings

log = structlog.get_logger(__name__)

# HMAC keys shorter than the hash are refused (RFC 7518, section 3.2).
SECRET_BYTES_MIN = 32
# Machines' clocks differ a little.
LEEWAY_S = 10
# A service's own token is short-lived and renewed well before it ends.
SERVICE_TOKEN_LIFETIME_S = 600
SERVICE_TOKEN_RENEW_S = 300
ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


class KeySource(Protocol):
    """Finds the key that a token must be signed with."""

    def key_for(self, token: str) -> PyJWK:
        """The key, which knows its algorithm.

        Raises:
            TokenInvalid: there is no such key.
        """


class SecretKey:
    """One shared secret, HS256."""

    def __init__(self, secret: str) -> None:
        """Take the secret, 32 bytes or more."""
        encoded = jwt.utils.base64url_encode(secret.encode()).decode()
        self._key = PyJWK({"kty": "oct", "k": encoded, "alg": "HS256"})

    def key_for(self, token: str) -> PyJWK:  # noqa: ARG002 - one key for every token
        """The key."""
        return self._key


class PublicKeyFile:
    """One public key in a PEM file: RS256, ES256 or EdDSA by its type."""

    def __init__(self, path: str) -> None:
        """Read the file."""
        pem = Path(path).read_bytes()
        self._key = _jwk_from_pem(pem)

    def key_for(self, token: str) -> PyJWK:  # noqa: ARG002 - one key for every token
        """The key."""
        return self._key


class JwksFile:
    """Several public keys in a JWKS file (RFC 7517), chosen by the token's `kid`.

    The file is read again when it changes, so that keys are rotated without a restart. A
    change that leaves no usable key, a file half written for one, keeps the keys read last.
    """

    def __init__(self, path: str) -> None:
        """Read the file."""
        self._file = _WatchedFile(path)
        self._keys: dict[str, PyJWK] = {}
        self._read(self._file.read())

    def key_for(self, token: str) -> PyJWK:
        """The key whose `kid` the token names; the only one if it names none."""
        if self._file.changed():
            self._refresh()
        kid = jwt.get_unverified_header(token).get("kid")
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if kid not in self._keys:
            raise TokenInvalid
        return self._keys[kid]

    def _refresh(self) -> None:
        try:
            self._read(self._file.read())
        except (OSError, ValueError, jwt.PyJWTError) as error:
            log.warning("jwks_file_unusable", cause=type(error).__name__)

    def _read(self, text: str) -> None:
        found = json.loads(text)
        keys = PyJWKSet.from_dict(found).keys if isinstance(found, dict) else []
        asymmetric = [key for key in keys if key.key_type in ALGORITHMS]
        if not asymmetric:
            message = "holds no key of RS256, ES256 or EdDSA"
            raise ValueError(message)
        self._keys = {key.key_id or "": key for key in asymmetric}


class Verifier:
    """Turns a token into its caller."""

    def __init__(self, keys: KeySource, audience: str, issuer: str = "") -> None:
        """Accept tokens signed with these keys, for this audience, from this issuer if given."""
        self._keys = keys
        self._audience = audience
        self._issuer = issuer or None

    def verify(self, token: str) -> Caller:
        """Check signature, audience, issuer, times and claims.

        Raises:
            TokenExpired: all is right but the time.
            TokenInvalid: anything else is wrong.
        """
        try:
            key = self._keys.key_for(token)
            claims = jwt.decode(
                token,
                key=key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except jwt.PyJWTError as error:
            log.info("token_refused", cause=type(error).__name__)
            raise TokenInvalid from None
        return _caller(claims)


class Minter:
    """Makes HS256 tokens, for development and for a service's own calls."""

    def __init__(self, secret: str, audience: str, issuer: str = "") -> None:
        """Sign with this secret, for this audience."""
        self._secret = secret
        self._audience = audience
        self._issuer = issuer

    def mint(self, user_id: str, scope: str, lifetime_s: int) -> str:
        """A token for a user, with scopes separated by spaces, that ends in `lifetime_s`."""
        now = int(time.time())
        claims = {
            "sub": user_id,
            "scope": scope,
            "aud": self._audience,
            "iat": now,
            "exp": now + lifetime_s,
        }
        if self._issuer:
            claims["iss"] = self._issuer
        return jwt.encode(claims, self._secret, algorithm="HS256")


class ServiceToken(Protocol):
    """The token that a service calls others with."""

    def current(self) -> str:
        """A token that is good now."""


class MintedServiceToken:
    """Makes its own tokens and renews them in time."""

    def __init__(self, minter: Minter, service: str, scope: str) -> None:
        """Call as `service`, with these scopes."""
        self._minter = minter
        self._service = service
        self._scope = scope
        self._token = ""
        self._renew_at = 0.0

    def current(self) -> str:
        """A token that is good for at least five minutes."""
        if time.monotonic() >= self._renew_at:
            self._token = self._minter.mint(self._service, self._scope, SERVICE_TOKEN_LIFETIME_S)
            self._renew_at = time.monotonic() + SERVICE_TOKEN_RENEW_S
        return self._token


class ServiceTokenFile:
    """Reads the token from a file that someone else keeps fresh."""

    def __init__(self, path: str) -> None:
        """Read the file."""
        self._file = _WatchedFile(path)
        self._token = self._file.read().strip()

    def current(self) -> str:
        """What the file holds now."""
        if self._file.changed():
            self._token = self._file.read().strip()
        return self._token


def verifier(settings: AuthSettings) -> Verifier:
    """The verifier that the settings ask for.

    Raises:
        SettingsError: none or several sources of keys are set, or one cannot be used.
    """
    sources = {
        "AUTH_JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "AUTH_PUBLIC_KEY_FILE": settings.public_key_file,
        "AUTH_JWKS_FILE": settings.jwks_file,
    }
    given = [name for name, value in sources.items() if value]
    if len(given) != 1:
        message = f"set exactly one of {', '.join(sources)} (set: {', '.join(given) or 'none'})"
        raise SettingsError(message)
    try:
        keys = _key_source(given[0], sources[given[0]])
    except (OSError, ValueError, jwt.PyJWTError) as error:
        message = f"{given[0]}: cannot be used: {error}"
        raise SettingsError(message) from None
    return Verifier(keys, settings.audience, settings.issuer)


def service_token(
    settings: AuthSettings, service: str, scope: str, tls: TlsSettings | None = None
) -> ServiceToken | None:
    """The token with which `service` calls others; none if its certificate says who it is.

    Raises:
        SettingsError: there is no certificate, no secret to make one with, no file to read one of.
    """
    if settings.service_token_file:
        try:
            return ServiceTokenFile(settings.service_token_file)
        except OSError as error:
            message = f"AUTH_SERVICE_TOKEN_FILE: cannot be read: {error}"
            raise SettingsError(message) from None
    if tls is not None and tls.is_service:
        return None
    secret = settings.jwt_secret.get_secret_value()
    if not secret and tls is not None and tls.cert_file:
        return None
    if not secret:
        message = (
            f"AUTH_SERVICE_TOKEN_FILE: not set. {service} needs a token with the scopes: {scope};"
            " or a certificate (TLS_CERT_FILE) that those whom it calls know by TLS_SERVICES"
        )
        raise SettingsError(message)
    return MintedServiceToken(Minter(secret, settings.audience, settings.issuer), service, scope)


class _WatchedFile:
    """A file that is read again only when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen_ns = 0

    def changed(self) -> bool:
        try:
            return self._path.stat().st_mtime_ns != self._seen_ns
        except OSError:
            return False

    def read(self) -> str:
        self._seen_ns = self._path.stat().st_mtime_ns
        return self._path.read_text()


def _key_source(name: str, value: str) -> KeySource:
    if name == "AUTH_PUBLIC_KEY_FILE":
        return PublicKeyFile(value)
    if name == "AUTH_JWKS_FILE":
        return JwksFile(value)
    if len(value.encode()) < SECRET_BYTES_MIN:
        message = f"must be {SECRET_BYTES_MIN} bytes or more"
        raise ValueError(message)
    return SecretKey(value)


def _jwk_from_pem(pem: bytes) -> PyJWK:
    for algorithm in ALGORITHMS.values():
        handler = jwt.get_algorithm_by_name(algorithm)
        try:
            key: Any = handler.prepare_key(pem)
        except (jwt.PyJWTError, TypeError, ValueError):
            continue
        jwk = handler.to_jwk(key, as_dict=True)
        if "d" in jwk:
            message = "holds a private key; a service needs the public one only"
            raise ValueError(message)
        return PyJWK({**jwk, "alg": algorithm})
    message = "holds no public key of RS256, ES256 or EdDSA"
    raise ValueError(message)


def _caller(claims: dict[str, Any]) -> Caller:
    user_id, scope = claims["sub"], claims.get("scope", "")
    if not isinstance(user_id, str) or not isinstance(scope, str):
        raise TokenInvalid
    if not is_user_id(user_id):
        raise TokenInvalid
    return Caller(user_id, frozenset(scope.split()))
