"""docs/api.md: the contract as a page, complete, and as it is committed."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import grpc
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from holdfast.auth.v1 import access_pb2
from holdfast.errors.v1 import reason_pb2
from support.methods import COMMENTS, METHODS
from support.source import ROOT
from typer.testing import CliRunner

from chassis.settings import describe
from cli.main import commands
from gateway.answers import error_body
from gateway.config import GatewaySettings
from gateway.errors import Refusal
from gateway.status import BY_CODE, BY_REASON
from gateway.upstream import Failed
from inventory_svc.domain.errors import SeatNotAvailable
from scripts.pages import api, scenarios
from scripts.pages.markdown import anchor

PAGE = (ROOT / "docs/api.md").read_text()
INTRODUCTION = PAGE.partition("\n## ")[0]
HEADINGS = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
# A row of a table cannot be broken, so that its length is bounded otherwise.
LINE_MAX, ROW_MAX = 100, 400


def section(heading: str) -> str:
    """What stands below a heading, to the next one."""
    parts = re.split(rf"^#+ {re.escape(heading)}$", PAGE, flags=re.MULTILINE)
    assert len(parts) == 2, heading
    return re.split(r"^#+ ", parts[1], flags=re.MULTILINE)[0]


def messages() -> Iterator[Descriptor | EnumDescriptor]:
    """All messages and enums of ours that methods take or answer with."""
    waiting = [kind for one in METHODS for kind in (one.input_type, one.output_type)]
    seen = set()
    while waiting:
        one = waiting.pop()
        if one.full_name in seen or not one.full_name.startswith("holdfast."):
            continue
        seen.add(one.full_name)
        yield one
        fields = one.fields if isinstance(one, Descriptor) else ()
        waiting += [
            kind for field in fields for kind in (field.message_type or field.enum_type,) if kind
        ]


def plain(text: str) -> str:
    """Without links, escapes and the ends of lines."""
    return re.sub(
        r"\s+", " ", re.sub(r"\[(`?[\w.]+`?)\]\(#[\w-]+\)", r"\1", text).replace("\\|", "|")
    )


def test_the_pages_are_as_they_are_made() -> None:
    """docs/api.md and docs/scenarios.md are what `make docs` writes, byte for byte."""
    assert api.made() == PAGE
    assert scenarios.made() == (ROOT / "docs/scenarios.md").read_text()


def test_every_method_is_on_the_page() -> None:
    """Each method has its row and its section: types, scopes, comment, and every reason."""
    for method in METHODS:
        (row,) = re.findall(rf"^\| \[`{method.name}`\].*$", PAGE, re.MULTILINE)
        text = section(method.name)
        named = list(method.GetOptions().Extensions[access_pb2.scopes])
        assert all(f"`{scope}`" in row and f"`{scope}`" in text for scope in named), method.name
        assert named or ("no token" in row and "no token" in text)
        for kind in (method.input_type, method.output_type):
            assert f"[{kind.name}](#{kind.name.lower()})" in text
        comment = COMMENTS[method.full_name].text
        before, _, errors = comment.partition("Errors: ")
        assert plain(before).strip() in plain(text)
        reasons = set(re.findall(r"`([A-Z_]+)`", errors)) & set(reason_pb2.Reason.keys())
        assert all(f"| `{reason}` |" in text for reason in reasons), method.name


def test_every_message_is_on_the_page() -> None:
    """Each message and enum that a method uses has a section with all that it holds, in words."""
    for one in messages():
        name = one.full_name.removeprefix(f"{one.file.package}.")
        if name == "Reason":
            continue
        text = plain(section(name))
        assert plain(COMMENTS[one.full_name].text) in text
        if isinstance(one, Descriptor):
            for field in one.fields:
                assert f"| `{field.name}` | `{field.json_name}` |" in text
                assert plain(COMMENTS[field.full_name].text) in text
        else:
            for value in one.values:
                assert f"| `{value.name}` | {value.number} |" in text


def test_every_reason_is_on_the_page() -> None:
    """Each reason stands in the table of errors with its gRPC code and its HTTP status."""
    codes = {code.name: status for code, status in BY_CODE.items()}
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\d+) \| \S", section("Errors"), re.MULTILINE)
    assert {name for name, _, _ in rows} == {*reason_pb2.Reason.keys()} - {"REASON_UNSPECIFIED"}
    assert [row for row in rows if int(row[2]) != BY_REASON.get(row[0], codes[row[1]])] == []


def test_every_link_leads_somewhere() -> None:
    """No two headings have one address, and each link of the page is to a heading of it."""
    addresses = [anchor(one) for one in HEADINGS]
    assert len(set(addresses)) == len(addresses)
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= set(addresses)


def test_the_page_can_be_read_as_it_is() -> None:
    """Its lines end, its tables are whole, and its examples are JSON."""
    lines = PAGE.splitlines()
    assert [one for one in lines if len(one) > (ROW_MAX if one.startswith("|") else LINE_MAX)] == []
    for before, row in pairwise(lines):
        if before.startswith("|") and row.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", before)) == len(re.findall(r"(?<!\\)\|", row)), row
    examples = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    of_messages = sum(COMMENTS[one.full_name].example is not None for one in messages())
    assert len(examples) == of_messages + 1
    assert all(json.loads(one) for one in examples)


def test_an_error_is_as_the_page_shows_it() -> None:
    """The error in the introduction is what the gateway makes of a seat that somebody else has."""
    seat = SeatNotAvailable(["A1"])
    code = grpc.StatusCode[seat.kind.name]
    failure = Failed(code, seat.reason, seat.message, seat.metadata, (), None, ())
    (shown,) = re.findall(r"^```json\n(.*?)^```$", INTRODUCTION, re.MULTILINE | re.DOTALL)
    assert list(json.loads(shown).items()) == list(error_body(failure).items())


def test_the_gateways_own_words_are_on_the_page() -> None:
    """What the gateway says in the place of a reason is a reason, or named in the introduction."""
    words = {one.reason for one in Refusal.__subclasses__()} - {*reason_pb2.Reason.keys()}
    assert len(words) > 5
    assert words <= set(re.findall(r"`([A-Z_]+)`", INTRODUCTION))


def test_the_page_says_how_to_begin() -> None:
    """The address of the gateway, the settings of its JSON and the way to a token are real."""
    (address,) = re.findall(r"`http://([^`]+)`", INTRODUCTION)
    assert address == GatewaySettings.model_fields["listen"].default
    known = {name for name, _, _ in describe(GatewaySettings)}
    told = dict(re.findall(r"`(GATEWAY_\w+)=(\w+)`", INTRODUCTION))
    assert len(told) == 2
    assert told.keys() <= known
    (command,) = re.findall(r"`holdfast (token [^`]+)`", INTRODUCTION)
    secret = {"AUTH_JWT_SECRET": "0" * 32}
    assert CliRunner().invoke(commands, command.split(), env=secret).exit_code == 0
