"""`holdfast export` and `holdfast erase`: what is stored of a person, given out and erased."""

import json
import os
import re
import secrets
import shlex
import stat
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from holdfast.privacy.v1 import privacy_pb2 as pb
from holdfast.privacy.v1 import privacy_pb2_grpc as rpc

from chassis.context import USER_ID_LENGTH_MAX, is_user_id
from cli import calls, desk
from cli.desk import Desk
from cli.failure import Failure
from cli.programs import BOOKING, INVENTORY, PAYMENT
from cli.screen import out, say, show_table, tell

OPERATOR = "operator"
# A booking needs a reservation, and a payment a booking: asked in this order, what was over stays
# over.
ASKED = (INVENTORY, BOOKING, PAYMENT)
ERASED = (BOOKING, PAYMENT, INVENTORY)
REPLACEMENT = re.compile(r"erased-[0-9a-f]{26}")
# The clocks of the services may differ by this. What is younger is left for another round.
CLOCKS_APART_S = 2.0
ROUNDS = 4
OPEN = "USER_HAS_OPEN_BOOKINGS"

UserOption = Annotated[
    str, typer.Option(help="The user's id, the claim 'sub' of their tokens.", metavar="ID")
]
Counts = dict[str, dict[str, int]]


def export(
    user: UserOption,
    to: Annotated[
        str,
        typer.Option("--out", help="Write to this file, which only you can read.", metavar="FILE"),
    ] = "",
) -> None:
    """Write everything that is stored of a user as one JSON document.

    It has what each of the three services stores, table by table, and begins with how much that
    is. Of a user of whom nothing is stored there is an empty document, and that is no error.
    """
    _require_id(user)
    with _desks() as desks:
        services = {name: _records(here, user) for name, here in desks.items()}
    counts = {name: Counter(one["kind"] for one in rows) for name, rows in services.items()}
    manifest = {"user": user, "exportedAt": datetime.now(UTC).isoformat(), "counts": counts}
    document = json.dumps({**manifest, "services": services}, indent=2, ensure_ascii=False)
    text = "".join(one if one.isprintable() or one == "\n" else _escaped(one) for one in document)
    if not to:
        typer.echo(text)
        return
    _write(Path(to), text)
    tell(f"wrote {sum(map(len, services.values()))} records to {to}")


def erase(
    user: UserOption,
    replacement: Annotated[
        str,
        typer.Option(
            "--as",
            help="Go on with an erasure that was interrupted: the name that it drew.",
            metavar="erased-…",
        ),
    ] = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to do it.")] = False,
) -> None:
    """Erase a user from everything that is stored; the books stay.

    In place of the id there is from then on a name that says nothing, the same in all services.
    Brands and last digits of cards, the reasons that people wrote, idempotency keys and the answers
    to them are gone. Amounts, dates, states, references and seats stay. It cannot be undone.

    Nothing is erased while a booking, a payment or a hold of the user is not over. An erasure that
    is interrupted says how to go on. Logs, backups and the payment provider are not told.
    """
    _require_id(user)
    name = replacement or f"erased-{secrets.token_hex(13)}"
    if not REPLACEMENT.fullmatch(name):
        message = f"--as {name!r} is no name of an erasure: those are erased- and 26 digits"
        raise Failure(message)
    with _desks() as desks:
        stored, before = _what_there_is(desks, user, name)
        if not any(stored.values()):
            say("Nothing is stored of this user.")
            return
        _show("stored", stored)
        if not yes:
            _confirm(user)
        with _resumed_by(user, name):
            _rounds(desks, user, name, before)
    say(f"Erased. In the books this user is now {name}.")


def _rounds(desks: Mapping[str, Desk], user: str, name: str, before: datetime) -> None:
    """Erase until nothing is left: what was made a moment ago is the work of the next round."""
    for _ in range(ROUNDS):
        done: Counts = {}
        for program in ERASED:
            with out.status(f"erasing in {program.name}"):
                done[program.name] = _ask(desks[program.name], user, name, before)
            tell(f"{program.name}: {sum(done[program.name].values())} rows")
        left, before = _what_there_is(desks, user, name)
        if not any(left.values()):
            return
        time.sleep(CLOCKS_APART_S)
        _, before = _what_there_is(desks, user, name)
    message = "the user goes on making bookings; erase them when that is over"
    raise Failure(message)


def _what_there_is(desks: Mapping[str, Desk], user: str, name: str) -> tuple[Counts, datetime]:
    """How much is stored, all of it over; and the moment before which that is so.

    Raises:
        Refused: something is not over.
    """
    before = _now()
    found = {program.name: _ask(desks[program.name], user, name, only=True) for program in ASKED}
    return found, before


def _now() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=CLOCKS_APART_S)


def _ask(
    here: Desk, user: str, name: str, before: datetime | None = None, *, only: bool = False
) -> dict[str, int]:
    request = pb.EraseUserRequest(user_id=user, replacement=name, validate_only=only)
    if before is not None:
        request.before.FromDatetime(before)
    try:
        counts = here.ask(rpc.PrivacyServiceStub(here.channel).EraseUser, request).counts
    except calls.Refused as refused:
        if refused.info.reason != OPEN:
            raise
        message = (
            f"{refused.info.message}. Nothing is erased before that: cancel them or wait, and"
            " 'holdfast sagas list' shows those that need a person"
        )
        raise Failure(message) from None
    return {one.kind: one.rows for one in counts}


def _records(here: Desk, user: str) -> list[dict[str, Any]]:
    request = pb.ExportUserRequest(user_id=user)
    try:
        found = list(here.listen(rpc.PrivacyServiceStub(here.channel).ExportUser, request))
    except calls.Refused as refused:
        raise here.explained(refused) from None
    return [
        {"kind": one.kind, "name": one.name, "fields": MessageToDict(one.fields)} for one in found
    ]


def _show(title: str, counts: Counts) -> None:
    rows = [
        (service, kind, str(number))
        for service, kinds in counts.items()
        for kind, number in sorted(kinds.items())
    ]
    show_table(("service", title, "rows"), rows)


def _confirm(user: str) -> None:
    if not sys.stdin.isatty():
        message = "this cannot be undone, and there is no terminal to ask on: say --yes"
        raise Failure(message)
    if not typer.confirm(f"Erase {user}? This cannot be undone."):
        message = "nothing was erased"
        raise Failure(message)


@contextmanager
def _resumed_by(user: str, name: str) -> Iterator[None]:
    """Say how to go on, whatever keeps it from its end."""
    try:
        yield
    except BaseException:
        tell(f"not finished. To go on: holdfast erase --user {shlex.quote(user)} --as {name}")
        raise


@contextmanager
def _desks() -> Iterator[dict[str, Desk]]:
    with ExitStack() as stack:
        yield {one.name: stack.enter_context(desk.opened(OPERATOR, "admin", one)) for one in ASKED}


def _require_id(user: str) -> None:
    if not is_user_id(user):
        message = (
            f"--user must be 1 to {USER_ID_LENGTH_MAX} printable characters, with no space at an"
            " end"
        )
        raise Failure(message)


def _escaped(character: str) -> str:
    """A character of a string as JSON writes it in ASCII: a terminal would obey some."""
    return json.dumps(character)[1:-1]


def _write(path: Path, text: str) -> None:
    """Write a file that nobody else can read, also where there was another."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            # Not of a terminal, a pipe or /dev/null: others need those.
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                os.fchmod(file.fileno(), 0o600)
            file.write(f"{text}\n")
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise Failure(message) from None
