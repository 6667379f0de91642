"""URLs that name several servers, by commas: what SQLAlchemy and redis cannot read themselves."""

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

MYSQL, SENTINEL = "mysql+aiomysql://", "redis+sentinel://"
MYSQL_PORT, SENTINEL_PORT = 3306, 26379
PORT_MAX = 65535
# A password may hold anything but the @ that ends it.
PARTS = re.compile(r"(?P<who>[a-z+]+://(?:[^@]*@)?)(?P<hosts>[^/?@]*)(?P<rest>.*)")
HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")


class Host(NamedTuple):
    """Where a server listens."""

    name: str
    port: int

    def __str__(self) -> str:
        """HOST:PORT."""
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True)
class Sentinels:
    """Who knows which Redis of a name is the primary one."""

    hosts: tuple[Host, ...]
    name: str
    # Of the Redis; the sentinels are asked without.
    password: str | None
    number: int


def of_database(url: str) -> tuple[str, tuple[Host, ...]]:
    """The URL with the first of its servers only, which SQLAlchemy can read; and all of them.

    Raises:
        ValueError: one of them is no HOST[:PORT]. The text has no part of the URL.
    """
    parts = PARTS.fullmatch(url)
    if not url.startswith(MYSQL) or parts is None or "," not in parts["hosts"]:
        return url, ()
    hosts = _hosts(parts["hosts"], MYSQL_PORT)
    return f"{parts['who']}{hosts[0]}{parts['rest']}", hosts


def of_sentinels(url: str) -> Sentinels | None:
    """What a URL of `redis+sentinel` says; none for any other.

    Raises:
        ValueError: it is not as it must be. The text has no part of the URL.
    """
    if not url.startswith(SENTINEL):
        return None
    parts = PARTS.fullmatch(url)
    name, _, number = parts["rest"].removeprefix("/").partition("/") if parts else ("", "", "")
    who = parts["who"].removeprefix(SENTINEL).removesuffix("@") if parts else ""
    user, _, password = who.partition(":")
    # A user, or options, would mean nothing here: better refused than not heeded.
    odd = user or "?" in name or not (number or "0").isdecimal()
    if parts is None or not name or odd:
        message = f"must be {SENTINEL}[:PASSWORD@]HOST:PORT,…/NAME[/NUMBER]"
        raise ValueError(message)
    hosts = _hosts(parts["hosts"], SENTINEL_PORT)
    return Sentinels(hosts, unquote(name), unquote(password) or None, int(number or 0))


def _hosts(text: str, default_port: int) -> tuple[Host, ...]:
    found = [HOST.fullmatch(one) for one in text.split(",")]
    hosts = [
        Host(one["name"].strip("[]"), int(one["port"] or default_port)) for one in found if one
    ]
    if len(hosts) < len(found) or not all(0 < one.port <= PORT_MAX for one in hosts):
        message = "must name its servers as HOST:PORT, by commas"
        raise ValueError(message)
    if len(set(hosts)) < len(hosts):
        message = "must name each of its servers once"
        raise ValueError(message)
    return tuple(hosts)
