"""What `holdfast up` prints when everything runs."""

import re
from io import StringIO
from urllib.parse import parse_qs, urlsplit

from rich.console import Console

from cli import guide
from cli.programs import Addresses


def printed(*, has_console: bool = True) -> str:
    text = StringIO()
    # As narrow as a terminal: what is to be copied must not be broken.
    shown = Console(file=text, width=60)
    addresses = Addresses(gateway_listen="0.0.0.0:8081")
    guide.show(
        shown, addresses, guide.Shown(987, "a.buyers.token", "an.admins.token", None, has_console)
    )
    return text.getvalue()


def test_the_links_into_the_console() -> None:
    """Two links open the console: a token each, after the #, so that no browser sends it."""
    links = [
        urlsplit(one) for one in re.findall(r"^http://\S+/console\S*$", printed(), re.MULTILINE)
    ]
    assert [(one.netloc, one.path, one.query) for one in links] == [
        ("127.0.0.1:8081", "/console", "")
    ] * 2
    buyers, admins = (parse_qs(one.fragment) for one in links)
    assert buyers == {"token": ["a.buyers.token"]}
    assert admins == {"token": ["an.admins.token"], "then": ["/operations"]}


def test_what_is_to_be_pasted() -> None:
    """The commands have the event, the addresses and the buyer's token in them, and no marks."""
    text = printed()
    assert "TOKEN=a.buyers.token" in text
    assert "/api/inventory/events/987/seats" in text
    assert "@" not in text.replace('"$@"', "")


def test_no_console_no_links() -> None:
    """Where the gateway serves no console, no link to it is shown."""
    assert "/console" not in printed(has_console=False)
