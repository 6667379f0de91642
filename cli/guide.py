"""What `holdfast up` prints: where everything is, and a first booking to paste."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cli.programs import BOOKING, GATEWAY, INVENTORY, PROGRAMS, Addresses

# Plain enough for any POSIX shell, and without a comment, which not every shell takes when
# pasted. The free seats are looked up when it runs, so that it works again and again.
FIRST_BOOKING = r"""
TOKEN=@TOKEN
api() { curl -sS@CURL -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' "$@"; }

SEATS=$(api '@SCHEME://@GATEWAY/api/inventory/events/@EVENT_ID/seats?pageSize=1000' | tr '{' '\n' |
    sed -n 's/.*"seatNumber":\("[^"]*"\).*"AVAILABLE".*/\1/p' | sed 2q | paste -sd, -)
IDS=$(api @SCHEME://@GATEWAY/api/inventory/reservations \
    -d '{"eventId": @EVENT_ID, "seatNumbers": ['$SEATS']}' | tr '{' '\n' |
    sed -n 's/.*"reservationId":\([0-9]*\).*/\1/p' | paste -sd, -)
api -i @SCHEME://@GATEWAY/api/bookings/confirm -H "idempotency-key: first-booking-${IDS%%,*}" \
    -d '{"reservationIds": ['$IDS'], "paymentMethod": {"type": "CREDIT_CARD",
      "cardNumber": "4242424242424242", "expiryMonth": 12, "expiryYear": 2030, "cvv": "123"}}'
"""
BY_GRPC = r"""
call() { at=$1 method=$2 data=$3; shift 3; @BUF curl --protocol grpc @BY_BUF \
    -H "authorization: Bearer $TOKEN" "$@" -d "$data" "@SCHEME://$at/$method"; }

SEATS=$(call @INVENTORY holdfast.inventory.v1.InventoryService/ListSeats \
    '{"eventId": @EVENT_ID, "pageSize": 1000}' | tr , '\n' |
    awk -F'"' '/seat_?[nN]umber/ {seat = $(NF-1)} /AVAILABLE/ {print "\"" seat "\""}' |
    sed 2q | paste -sd, -)
IDS=$(call @INVENTORY holdfast.inventory.v1.InventoryService/ReserveSeats \
    '{"eventId": @EVENT_ID, "seatNumbers": ['$SEATS']}' | tr , '\n' |
    awk -F'"' '/reservation_?[iI]d/ {print $(NF-1)}' | paste -sd, -)
call @BOOKING holdfast.booking.v1.BookingService/ConfirmBooking \
    '{"reservationIds": ['$IDS'], "paymentMethod": {"type": "CREDIT_CARD",
      "cardNumber": "4242424242424242", "expiryMonth": 12, "expiryYear": 2030, "cvv": "123"}}' \
    -H "idempotency-key: first-booking-${IDS%%,*}"
"""
GRPCURL = r"""
call() { at=$1 method=$2 data=$3; shift 3; grpcurl @BY_GRPCURL \
    -H "authorization: Bearer $TOKEN" "$@" -d "$data" "$at" "$method"; }
"""
STUBS = r"""
@PYTHON - <<END
import grpc
from holdfast.booking.v1 import booking_pb2, booking_pb2_grpc
bookings = booking_pb2_grpc.BookingServiceStub(@CHANNEL)
token = [("authorization", "Bearer $TOKEN")]
print(bookings.ListMyBookings(booking_pb2.ListMyBookingsRequest(page_size=1), metadata=token))
END
"""


@dataclass(frozen=True)
class Shown:
    """What the commands are about."""

    event_id: int
    token: str
    admin_token: str
    # Where the certificates are; none: without TLS.
    certificates: Path | None
    has_console: bool = True


# What is put in first, for it may hold others.
PLAIN = {
    "@CURL": "",
    "@BY_BUF": "--http2-prior-knowledge",
    "@BY_GRPCURL": "-plaintext",
    "@CHANNEL": 'grpc.insecure_channel("@BOOKING")',
}
SECURE = """
grpc.secure_channel("@BOOKING", grpc.ssl_channel_credentials(
    *(open(f, "rb").read() for f in ("@CA_FILE", "@KEY_FILE", "@CERT_FILE"))))
"""
EXPORTS = """
export TLS_CA_FILE=@CA_FILE TLS_CERT_FILE=@CERT_FILE TLS_KEY_FILE=@KEY_FILE
"""


def show(console: Console, addresses: Addresses, shown: Shown) -> None:
    """Print the addresses and the commands."""
    scheme = "https" if shown.certificates else "http"
    console.print(_addresses(addresses, scheme))
    if shown.has_console:
        _print_links(console, f"{scheme}://{addresses.target(GATEWAY)}/console", shown)
    values = {
        **(_with_tls(shown.certificates) if shown.certificates else PLAIN),
        "@TOKEN": shown.token,
        "@SCHEME": scheme,
        "@BUF": _command("buf"),
        "@PYTHON": _command("python"),
        "@EVENT_ID": str(shown.event_id),
        "@INVENTORY": addresses.target(INVENTORY),
        "@BOOKING": addresses.target(BOOKING),
        "@GATEWAY": addresses.target(GATEWAY),
    }
    console.print("\n[bold]Book two seats:[/] paste this in another terminal, in this folder.")
    _print_plain(console, FIRST_BOOKING, values)
    console.print("[bold]The same by gRPC:[/] paste this after it.")
    _print_plain(console, BY_GRPC, values)
    console.print("[bold]With grpcurl:[/] replace 'call' by this, and paste the rest.")
    _print_plain(console, GRPCURL, values)
    console.print("[bold]Your newest booking, by Python's generated stubs:[/]")
    _print_plain(console, STUBS, values)
    if shown.certificates:
        console.print("[bold]For 'holdfast' in another terminal:[/] paste this there first.")
        _print_plain(console, EXPORTS, values)
    console.print(
        f"A booking's whole story: {_command('holdfast')} trace BK-…\n"
        "The tokens are for the users 'demo' and 'operator', and last a day; another one: "
        f"{_command('holdfast')} token --user ID\n[bold]Ctrl-C stops everything.[/]",
        soft_wrap=True,
    )


def _print_links(console: Console, site: str, shown: Shown) -> None:
    console.print("\n[bold]In a browser:[/] choose seats, pay with a test card, see the saga live.")
    _print_plain(console, f"{site}#token={shown.token}", {})
    console.print("[bold]As an operator:[/] the latest bookings, and what waits for a person.")
    _print_plain(console, f"{site}#token={shown.admin_token}&then=/operations", {})


def show_first_booking(console: Console, gateway: str, event_id: int, token: str) -> None:
    """Print how to book two seats by way of a gateway."""
    values = {
        **PLAIN,
        "@TOKEN": token,
        "@SCHEME": "http",
        "@EVENT_ID": str(event_id),
        "@GATEWAY": gateway,
    }
    _print_plain(console, FIRST_BOOKING, values)


def _with_tls(folder: Path) -> dict[str, str]:
    ca = folder / "ca.pem"
    certificate, key = folder / "holdfast.pem", folder / "holdfast.key"
    return {
        "@CURL": f" --cacert {ca}",
        "@BY_BUF": f"--cacert {ca} --cert {certificate} --key {key}",
        "@BY_GRPCURL": f"-cacert {ca} -cert {certificate} -key {key}",
        "@CHANNEL": SECURE.strip(),
        "@CA_FILE": str(ca),
        "@CERT_FILE": str(certificate),
        "@KEY_FILE": str(key),
    }


def _addresses(addresses: Addresses, scheme: str) -> Table:
    table = Table("program", "address", "log", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for program in reversed(PROGRAMS):
        target = addresses.target(program)
        shown = f"{scheme}://{target}/docs" if program == GATEWAY else target
        table.add_row(program.name, shown, f"var/log/{program.name}.log")
    return table


def _print_plain(console: Console, text: str, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        text = text.replace(name, value)
    # To be copied: no line may be broken, no bracket taken for markup.
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _command(name: str) -> str:
    """How a program of our own environment is called from this folder."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        return name
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
