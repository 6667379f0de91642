"""Settings: every mistake at once, in words, and no secret on the screen."""

import os
from pathlib import Path

import pytest
from support.tokens import SECRET

from booking_svc import wiring as booking_wiring
from chassis import program, tokens
from chassis.settings import AuthSettings, SettingsError, describe, load, load_together
from inventory_svc.config import InventorySettings
from inventory_svc.wiring import PROGRAM


def test_the_defaults_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an empty environment the inventory starts on its own port and a file."""
    monkeypatch.delenv("INVENTORY_LISTEN", raising=False)
    settings = load(InventorySettings)
    assert settings.listen == "127.0.0.1:50053"
    assert settings.database_url.startswith("sqlite+aiosqlite:///")


def test_all_mistakes_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wrong variable gets a line with its name, what is wrong, and what it is."""
    wrong = {
        "INVENTORY_LISTEN": "50053",
        "INVENTORY_DATABASE_URL": "postgres://db",
        "INVENTORY_LOG_LEVEL": "loud",
        "INVENTORY_SHUTDOWN_GRACE_S": "soon",
        "INVENTORY_RESERVATION_TTL_MAX_S": "0",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(InventorySettings)
    lines = dict(line.split(": ", 1) for line in str(caught.value).splitlines())
    assert lines.keys() == wrong.keys()
    shown = {name for name, value in wrong.items() if f"(it is {value!r})" in lines[name]}
    assert shown == wrong.keys() - {"INVENTORY_DATABASE_URL"}
    assert "must be HOST:PORT, such as 127.0.0.1:50051" in lines["INVENTORY_LISTEN"]
    assert "must begin with sqlite+aiosqlite:///" in lines["INVENTORY_DATABASE_URL"]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hunter2@db/holdfast",
        "mysql+aiomysql://root:hunter2@db",
        "mysql+aiomysql://root:hunter2@db:3306/",
        "mysql+aiomysql://root:hunter2@db:port/holdfast",
        "sqlite+aiosqlite:///",
        "sqlite+aiosqlite:///:memory:",
    ],
)
def test_a_database_has_a_name(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A URL that names no database on disk or server is refused, and its password is not shown."""
    monkeypatch.setenv("INVENTORY_DATABASE_URL", url)
    with pytest.raises(SettingsError, match="INVENTORY_DATABASE_URL: must ") as caught:
        load(InventorySettings)
    assert "hunter2" not in str(caught.value)


def test_nothing_starts_with_mistakes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program names the mistakes of its own settings and of the keys at once, and exits by 2."""
    monkeypatch.setattr(os, "umask", lambda _: 0)
    monkeypatch.setenv("INVENTORY_LISTEN", "nowhere")
    monkeypatch.setenv("AUTH_JWKS_FILE", "missing.json")
    assert program.main(PROGRAM, ["serve"]) == program.EXIT_USAGE == 2
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == "inventory_svc: the settings are not right:"
    assert [line.split(":")[0] for line in lines] == ["  INVENTORY_LISTEN", "  AUTH_JWKS_FILE"]


def test_a_mistake_is_reported_once() -> None:
    """What two loads complain about alike is said once, in the order of the loads."""

    def fail(text: str) -> None:
        raise SettingsError(text)

    with pytest.raises(SettingsError) as caught:
        load_together(lambda: fail("A: x\nB: y"), lambda: 7, lambda: fail("B: y\nC: z"))
    assert str(caught.value) == "A: x\nB: y\nC: z"
    assert load_together(lambda: 1, lambda: "2", lambda: None) == (1, "2", None)


@pytest.mark.parametrize("listen", ["127.0.0.1:65536", "127.0.0.1:", ":50051", "localhost"])
def test_an_address_has_a_host_and_a_port(monkeypatch: pytest.MonkeyPatch, listen: str) -> None:
    """An address without a host or a possible port is refused."""
    monkeypatch.setenv("INVENTORY_LISTEN", listen)
    with pytest.raises(SettingsError, match="INVENTORY_LISTEN: must be HOST:PORT"):
        load(InventorySettings)


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret shows neither in the settings, nor in their refusal, nor in the help text."""
    monkeypatch.setenv("AUTH_JWT_SECRET", "too short, and secret")
    settings = load(AuthSettings)
    with pytest.raises(SettingsError, match=r"AUTH_JWT_SECRET: .* 32 bytes") as caught:
        tokens.verifier(settings)
    shown = f"{settings!r} {settings} {caught.value} {describe(AuthSettings)}"
    assert "too short, and secret" not in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "set: none"),
        ({"jwt_secret": SECRET, "jwks_file": "x"}, "set: AUTH_JWT_SECRET, AUTH_JWKS_FILE"),
        ({"public_key_file": "missing.pem"}, "AUTH_PUBLIC_KEY_FILE: cannot be used"),
        ({"jwks_file": "missing.json"}, "AUTH_JWKS_FILE: cannot be used"),
    ],
)
def test_there_is_one_source_of_keys(given: dict[str, str], said: str) -> None:
    """None, several, or one that cannot be read is refused, naming the variables."""
    with pytest.raises(SettingsError, match=said):
        tokens.verifier(AuthSettings(**given))


@pytest.mark.parametrize("name", ["public_key_file", "jwks_file"])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"keys": []}', "-----BEGIN PUBLIC KEY-----"])
def test_a_file_without_keys_is_refused(tmp_path: Path, name: str, content: str) -> None:
    """A file that holds no key that could be used is a mistake at start, not at the first call."""
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(SettingsError, match=f"AUTH_{name.upper()}: cannot be used"):
        tokens.verifier(AuthSettings(**{name: str(path)}))


def test_a_service_needs_a_token_of_its_own(tmp_path: Path) -> None:
    """Without a secret and without a token file, the service says which scopes it needs."""
    with pytest.raises(SettingsError, match=r"AUTH_SERVICE_TOKEN_FILE: not set\..*payments"):
        tokens.service_token(AuthSettings(), "booking_svc", "inventory payments")
    path = tmp_path / "token"
    path.write_text("first\n")
    token = tokens.service_token(AuthSettings(service_token_file=str(path)), "booking_svc", "")
    assert token.current() == "first"


def test_every_setting_has_a_sentence() -> None:
    """The help text says what each variable means."""
    for name, default, meaning in [*describe(InventorySettings), *describe(AuthSettings)]:
        assert name.startswith(("INVENTORY_", "AUTH_"))
        assert default
        assert len(meaning) > 10


def test_what_one_program_asks_is_reported_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token that bookings call others with is missed together with all other mistakes."""
    monkeypatch.setenv("BOOKING_LISTEN", "nowhere")
    assert program.main(booking_wiring.PROGRAM, []) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in ("BOOKING_LISTEN", "AUTH_JWT_SECRET", "TOKEN_FILE"))
