"""A service, as a command asks it: found, and called with a token made here."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from chassis.settings import load
from cli import calls, signing
from cli.failure import Failure, Unreachable
from cli.programs import BOOKING, Addresses, Program
from cli.signing import Tokens

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

# For the one call that it is made for. A stream may outlive it.
TOKEN_LIFETIME_S = 60
# The ids of bookings are below 2^53.
BOOKING_ID = re.compile(r"[0-9]{1,16}")
BOOKING_REFERENCE = re.compile(r"BK-[0-9]{4}-[0-9A-Z]{1,32}", re.IGNORECASE)


@dataclass(frozen=True)
class Desk:
    """Where a service is asked, and in whose name."""

    program: Program
    channel: grpc.Channel
    target: str
    tokens: Tokens
    user: str
    scope: str

    def ask(
        self, method: "grpc.UnaryUnaryMultiCallable[Request, Response]", request: Request
    ) -> Response:
        """Make a call.

        Raises:
            Refused: it failed.
            Unreachable: nothing answers.
        """
        try:
            return calls.call(method, request, token=self._token()).message
        except calls.Refused as refused:
            raise self.explained(refused) from None

    def listen(
        self, method: "grpc.UnaryStreamMultiCallable[Request, Response]", request: Request
    ) -> Iterator[Response]:
        """What a stream of answers says, until it ends or is left.

        Raises:
            Refused: it failed.
        """
        return calls.stream(method, request, token=self._token())

    def explained(self, refused: calls.Refused) -> Exception:
        """How to go on when nothing answers; else what was refused."""
        if not calls.is_unreachable(refused):
            return refused
        return Unreachable(
            f"{self.program.name} does not answer at {self.target}. 'holdfast up' starts"
            " everything on this machine; if it runs elsewhere, say so:"
            f" {self.program.listen_variable}=HOST:PORT"
        )

    def _token(self) -> str:
        return self.tokens.mint(self.user, self.scope, TOKEN_LIFETIME_S)


@contextmanager
def opened(user: str, scope: str, program: Program = BOOKING) -> Iterator[Desk]:
    """A desk of a program at which a user asks, with a scope.

    Raises:
        Failure: there is no token, and nothing to sign one with.
    """
    target, tokens = load(Addresses).target(program), signing.tokens()
    with calls.open_channel(target) as channel:
        yield Desk(program, channel, target, tokens, user, scope)


def parse_booking(text: str) -> int | str:
    """A booking's id, or its reference, from what was typed.

    Raises:
        Failure: it is neither.
    """
    text = text.strip()
    if BOOKING_REFERENCE.fullmatch(text):
        return text.upper()
    if BOOKING_ID.fullmatch(text) and int(text):
        return int(text)
    message = f"{text!r} is no booking: give its reference, such as BK-2026-…, or its number"
    raise Failure(message)
