"""Settings from the environment: one class a program, all mistakes reported together."""

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from chassis import addresses

LISTEN = re.compile(r"(?P<host>.+):(?P<port>\d{1,5})")


class SettingsError(Exception):
    """The environment is not right; the text has one line a mistake."""


def _address(value: str) -> str:
    match = LISTEN.fullmatch(value)
    if match is None or int(match["port"]) > addresses.PORT_MAX:
        message = "must be HOST:PORT, such as 127.0.0.1:50051"
        raise ValueError(message)
    return value


def _database_url(value: str) -> str:
    if not value.startswith(("sqlite+aiosqlite:///", "mysql+aiomysql://")):
        message = "must begin with sqlite+aiosqlite:/// or mysql+aiomysql://"
        raise ValueError(message)
    first, _ = addresses.of_database(value)
    try:
        database = make_url(first).database
    except (ArgumentError, ValueError):
        database = None
    if not database or database == ":memory:":
        message = "must name a database, as in mysql+aiomysql://user:password@host:3306/name"
        raise ValueError(message)
    return value


Address = Annotated[str, AfterValidator(_address)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
MetricsListen = Annotated[
    str,
    AfterValidator(lambda value: value and _address(value)),
    Field(description="where metrics are served, HOST:PORT, at /metrics; empty: nowhere"),
]
Loaded = TypeVar("Loaded", bound=BaseSettings)


class AuthSettings(BaseSettings):
    """How tokens are checked, the same for all programs. One of the first three is needed."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    jwt_secret: SecretStr = Field(
        default=SecretStr(""),
        description="secret of HS256 tokens, 32 bytes or more; for development",
    )
    public_key_file: str = Field(
        default="", description="PEM file of the key of RS256, ES256 or EdDSA tokens"
    )
    jwks_file: str = Field(
        default="", description="JWKS file with the keys of RS256, ES256 or EdDSA tokens"
    )
    audience: str = Field(default="holdfast", description="what the claim `aud` must say")
    issuer: str = Field(default="", description="what the claim `iss` must say; empty: not checked")
    service_token_file: str = Field(
        default="",
        description="file with the token that services call each other with; it is read again when"
        " it changes; not needed with AUTH_JWT_SECRET",
    )


class ServiceSettings(BaseSettings):
    """What every service can be told."""

    listen: Address
    database_url: DatabaseUrl
    metrics_listen: MetricsListen = ""
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="least level of log lines: debug, info, warning or error",
    )
    shutdown_grace_s: float = Field(
        default=40.0,
        gt=0,
        le=3600,
        description="seconds that running work may take after SIGTERM",
    )
    calls_max: int = Field(
        default=256, ge=1, le=100_000, description="calls served at once; more are refused"
    )
    streams_max: int = Field(
        default=100, ge=1, le=100_000, description="streams served at once; more are refused"
    )


def load(settings: type[Loaded]) -> Loaded:
    """Read a settings class from the environment.

    Raises:
        SettingsError: names every variable that is wrong, and why. Secrets are not shown.
    """
    try:
        return settings()
    except ValidationError as error:
        lines = [_mistake(settings, dict(mistake)) for mistake in error.errors()]
        raise SettingsError("\n".join(lines)) from None


def load_together(*loaders: Callable[[], Any]) -> tuple[Any, ...]:
    """Call all of these, and report the mistakes of all of them, each once.

    Raises:
        SettingsError: one or more could not be loaded.
    """
    mistakes: dict[str, None] = {}
    loaded = []
    for loader in loaders:
        try:
            loaded.append(loader())
        except SettingsError as error:
            mistakes.update(dict.fromkeys(str(error).splitlines()))
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return tuple(loaded)


def describe(settings: type[BaseSettings]) -> list[tuple[str, str, str]]:
    """(variable, default, meaning) of every setting of a class, for help texts."""
    return [
        (_variable(settings, name), _shown_default(field.get_default()), field.description or "")
        for name, field in settings.model_fields.items()
    ]


def is_secret(annotation: object) -> bool:
    """Whether values of this type must not be shown."""
    return annotation is SecretStr or SecretStr in get_args(annotation)


def _shown_default(value: object) -> str:
    shown = value.get_secret_value() if isinstance(value, SecretStr) else value
    return "(empty)" if shown == "" else str(shown)


def _mistake(settings: type[BaseSettings], mistake: dict[str, object]) -> str:
    location = mistake["loc"]
    name = str(location[0]) if isinstance(location, tuple) and location else ""
    message = str(mistake["msg"]).removeprefix("Value error, ")
    if not name:
        return message
    field = settings.model_fields[name]
    if mistake["type"] == "missing":
        return f"{_variable(settings, name)}: not set. {field.description or ''}".rstrip()
    # A URL may hold a password.
    hidden = is_secret(field.annotation) or name.endswith("_url")
    shown = "" if hidden else f" (it is {mistake['input']!r})"
    return f"{_variable(settings, name)}: {message}{shown}"


def _variable(settings: type[BaseSettings], name: str) -> str:
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()
