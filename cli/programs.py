"""The programs of the stack, and where each of them listens."""

from dataclasses import dataclass

from pydantic import Field
from pydantic_settings import BaseSettings

from chassis.settings import Address

# An address to listen on everywhere is none to call.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104


@dataclass(frozen=True)
class Program:
    """A program: `python -m <name>`, with settings that begin with `prefix`."""

    name: str
    prefix: str

    @property
    def listen_variable(self) -> str:
        """The setting that says where it listens."""
        return f"{self.prefix}_LISTEN"


INVENTORY = Program("inventory_svc", "INVENTORY")
PAYMENT = Program("payment_svc", "PAYMENT")
BOOKING = Program("booking_svc", "BOOKING")

GATEWAY = Program("gateway", "GATEWAY")

# In the order in which they start. They stop in the reverse order, so that running requests and
# bookings can still reach what they need.
SERVICES = (INVENTORY, PAYMENT, BOOKING)
PROGRAMS = (*SERVICES, GATEWAY)


class Addresses(BaseSettings):
    """Where the programs listen, from their own settings."""

    booking_listen: Address = Field(default="127.0.0.1:50051")
    payment_listen: Address = Field(default="127.0.0.1:50052")
    inventory_listen: Address = Field(default="127.0.0.1:50053")
    gateway_listen: Address = Field(default="127.0.0.1:8080")

    def listen(self, program: Program) -> str:
        """Where a program listens."""
        address: str = getattr(self, program.listen_variable.lower())
        return address

    def target(self, program: Program) -> str:
        """Where a client on this machine reaches a program."""
        host, _, port = self.listen(program).rpartition(":")
        return f"{EVERYWHERE.get(host, host)}:{port}"
