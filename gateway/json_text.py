"""JSON text to a tree of values, exactly: a number stays the text it was.

The scanner is the standard library's. (msgspec's is faster alone, and no longer so with the second
look that it needs to find members that are given twice.)
"""

import json
import re
from typing import Any, NoReturn

from google.protobuf.message import DecodeError, Message

# Objects and lists within each other.
DEPTH_MAX = 64

# The readers of messages, ours and those of the services, go 100 messages deep. An object within a
# free `google.protobuf.Struct` is three: up to here, no JSON can be more than a service can read.
_DEPTH_SAFE = 32

# Names come from the caller: an answer does not repeat more of one than this.
_NAME_LENGTH_MAX = 60

_PAIR_OR_LONE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class Misfit(Exception):
    """A value does not fit where it stands. Each level that it passes adds its step."""

    def __init__(self, what: str, *names: str) -> None:
        """Say what is wrong, of the whole value or of its members with these names.

        Not what the value is: it may be a secret.
        """
        super().__init__(what)
        self.what = what
        self._names = names
        self._steps: list[str] = []

    def within(self, name: str) -> None:
        """It stands in the member with this name."""
        self._steps.append(f".{name[:_NAME_LENGTH_MAX]}")

    def at(self, index: int) -> None:
        """It stands at this place of a list."""
        self._steps.append(f"[{index}]")

    def under(self, key: str) -> None:
        """It stands under this key of a map."""
        self._steps.append(f'["{key[:_NAME_LENGTH_MAX]}"]')

    def violations(self) -> list[tuple[str, str]]:
        """Where what is wrong stands, each with what is wrong; '' is the path of the whole."""
        path = "".join(reversed(self._steps))
        paths = [f"{path}.{name[:_NAME_LENGTH_MAX]}" for name in self._names] or [path]
        return [(one.removeprefix("."), self.what) for one in paths]


def refuse(what: str, *names: str) -> NoReturn:
    """Raise a `Misfit`, of the whole value or of its members with these names."""
    raise Misfit(what, *names)


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class Doubled(dict[str, Any]):
    """An object in which a name is given twice. It is no plain `dict`, so no reader takes it."""

    name = ""


class Text:
    """A whole text that was read."""

    def __init__(self, value: Any, *, is_deep: bool) -> None:
        """Keep the tree: of dict, list, str, Number, bool and None."""
        self.value = value
        self._is_deep = is_deep

    def require_carriable(self, message: Message) -> None:
        """Refuse a message made from this that is too deep for the service to read."""
        if not self._is_deep:
            return
        try:
            type(message).FromString(message.SerializeToString())
        except (DecodeError, ValueError):
            _refuse_depth()


def members(value: Any) -> dict[str, Any]:
    """The members of an object, each given once."""
    if type(value) is dict:
        return value
    if type(value) is Doubled:
        refuse("is given twice", value.name)
    refuse("must be an object")


def require_list(value: Any) -> None:
    """Refuse what is no list."""
    if type(value) is not list:
        refuse("must be a list")


def parse(data: bytes) -> Text:
    """Read a text.

    Raises:
        Misfit: it is no JSON, or nested too deeply.
    """
    try:
        text = data.decode()
        value = _decoder.decode(text)
    except UnicodeDecodeError as error:
        refuse(f"is not valid UTF-8, at byte {error.start}")
    except json.JSONDecodeError as error:
        refuse(f"is not valid JSON, at character {error.pos}")
    except RecursionError:
        _refuse_depth()
    if "\\u" in text:
        _require_whole_characters(text)
    # As many brackets as there are at all cannot be deeper than that.
    is_deep = text.count("[") + text.count("{") > _DEPTH_SAFE and _is_deeper(value, _DEPTH_SAFE)
    if is_deep and _is_deeper(value, DEPTH_MAX):
        _refuse_depth()
    return Text(value, is_deep=is_deep)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = Doubled(found)
    seen = set()
    for name, _ in pairs:
        if name in seen:
            doubled.name = name
            break
        seen.add(name)
    return doubled


def _no_constant(_: str) -> NoReturn:
    refuse("holds NaN or Infinity outside of quotes")


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
        if not below:
            return False
        level = below
    return any(isinstance(one, (dict, list)) for one in level)


def _refuse_depth() -> NoReturn:
    refuse(f"is nested more than {DEPTH_MAX} levels deep, or than a service can read")


def _require_whole_characters(text: str) -> None:
    """Refuse half a pair of surrogates: no UTF-8 can carry it."""
    for found in _PAIR_OR_LONE.finditer(text):
        if found["lone"]:
            refuse(f"holds half a character, at character {found.start()}")


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_no_constant
)
