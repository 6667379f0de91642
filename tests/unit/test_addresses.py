"""URLs that name several servers: what they mean, and what is wrong with them."""

import pytest

from booking_svc.config import BookingSettings
from chassis import addresses
from chassis.addresses import Host, Sentinels
from chassis.settings import SettingsError, load
from inventory_svc.config import InventorySettings

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("a:3307,b:3308", (Host("a", 3307), Host("b", 3308))),
        ("a,b", (Host("a", 3306), Host("b", 3306))),
        ("[::1]:3307,10.0.0.2", (Host("::1", 3307), Host("10.0.0.2", 3306))),
        ("db-0.db,db-1.db:1", (Host("db-0.db", 3306), Host("db-1.db", 1))),
    ],
)
def test_a_database_may_have_several_servers(
    hosts: str, expected: tuple[Host, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All servers of a URL are known in their order, and the first one stands for all."""
    for who in ("", "u@", f"u:{SECRET},/?@"):
        url = f"mysql+aiomysql://{who}{hosts}/name?charset=utf8mb4"
        first, found = addresses.of_database(url)
        assert found == expected
        assert first == f"mysql+aiomysql://{who}{expected[0]}/name?charset=utf8mb4"
        monkeypatch.setenv("INVENTORY_DATABASE_URL", url)
        assert load(InventorySettings).database_url == url


@pytest.mark.parametrize(
    "url",
    ["sqlite+aiosqlite:///var/a,b.db", "mysql+aiomysql://u:a,b@h/name", "mysql+aiomysql://h/n"],
)
def test_a_database_of_one_server_is_left_alone(url: str) -> None:
    """A comma elsewhere than between servers means nothing."""
    assert addresses.of_database(url) == (url, ())


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ("a,", "must name its servers as HOST:PORT, by commas"),
        (",a", "must name its servers as HOST:PORT, by commas"),
        ("a:0,b", "must name its servers as HOST:PORT, by commas"),
        ("a:65536,b", "must name its servers as HOST:PORT, by commas"),
        ("a:port,b", "must name its servers as HOST:PORT, by commas"),
        ("a b,c", "must name its servers as HOST:PORT, by commas"),
        ("a:3306,a", "must name each of its servers once"),
    ],
)
def test_a_list_of_servers_that_is_none(
    hosts: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong list is refused at the start, for a database and for sentinels, without the URL."""
    database = f"mysql+aiomysql://u:{SECRET}@{hosts}/name"
    monkeypatch.setenv("INVENTORY_DATABASE_URL", database)
    with pytest.raises(SettingsError, match=f"INVENTORY_DATABASE_URL: {said}") as caught:
        load(InventorySettings)
    assert SECRET not in str(caught.value)
    if hosts == "a:3306,a":
        hosts = "a:26379,a"
    monkeypatch.setenv("BOOKING_REDIS_URL", f"redis+sentinel://:{SECRET}@{hosts}/name")
    with pytest.raises(SettingsError, match=f"BOOKING_REDIS_URL: {said}") as caught:
        load(BookingSettings)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "redis+sentinel://a,b:1,[::1]:2/main",
            Sentinels((Host("a", 26379), Host("b", 1), Host("::1", 2)), "main", None, 0),
        ),
        (
            f"redis+sentinel://:{SECRET}%40@a/main/3",
            Sentinels((Host("a", 26379),), "main", f"{SECRET}@", 3),
        ),
    ],
)
def test_sentinels_are_told_by_a_url(
    url: str, expected: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentinels, the name they know a Redis by, its password and number; nothing of it is shown."""
    assert addresses.of_sentinels(url) == expected
    monkeypatch.setenv("BOOKING_REDIS_URL", url)
    settings = load(BookingSettings)
    assert settings.redis_url.get_secret_value() == url
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("rest", ["a:1", "a:1/", "a:1/name/first", "/name", ""])
def test_sentinels_need_a_name(rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL of sentinels without a name, a server or a number that is one is refused."""
    monkeypatch.setenv("BOOKING_REDIS_URL", f"redis+sentinel://:{SECRET}@{rest}")
    with pytest.raises(SettingsError, match="BOOKING_REDIS_URL: must ") as caught:
        load(BookingSettings)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "rest", [f"ann:{SECRET}@a/main", f"{SECRET}@a/main", f":{SECRET}@a/main?db=1"]
)
def test_what_is_not_heeded_is_refused(rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user, a password without its colon, and options: nothing is dropped without a word."""
    monkeypatch.setenv("BOOKING_REDIS_URL", f"redis+sentinel://{rest}")
    with pytest.raises(SettingsError, match="BOOKING_REDIS_URL: must be redis") as caught:
        load(BookingSettings)
    assert SECRET not in str(caught.value)


def test_another_url_names_no_sentinels() -> None:
    """The URL of a single Redis is none of sentinels."""
    assert addresses.of_sentinels("redis://a:6379/0") is None
