"""The console: the files of `gateway/console/`, served at `/console`.

They are a page for our own services that runs in a browser and calls the same routes as everybody.
Nothing is known of them here, and nothing of them is made here.
"""

from http import HTTPStatus
from importlib import resources

from gateway import files
from gateway.answers import Response

PATH = "/console"
FOLDER = "console"
PAGE = "index.html"
KINDS = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
# It writes no styles into elements, runs no script that is not a file, and asks no other address.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ConsoleFiles:
    """The files, read once."""

    def __init__(self) -> None:
        """Read them."""
        folder = resources.files("gateway") / FOLDER
        found = {one.name: one.read_bytes() for one in folder.iterdir() if _kind(one.name)}
        # Modules name each other without a version: all are asked about again, so that a browser
        # never has some of one release and some of another.
        made = {
            name: files.made(body, _kind(name), files.ASKED_AGAIN, POLICY)
            for name, body in found.items()
        }
        self._pages = {PATH: made.pop(PAGE)}
        self._pages |= {f"{PATH}/{name}": one for name, one in made.items()}

    def page(self, path: str, if_none_match: str = "") -> Response | None:
        """What is at a path, or None; without its body if its reader has it already."""
        if path == f"{PATH}/":
            # The addresses in the page are relative to the path without the slash.
            return Response(HTTPStatus.PERMANENT_REDIRECT, b"", {"location": f"..{PATH}"})
        return files.unless_known(self._pages.get(path), if_none_match)


def _kind(name: str) -> str:
    return KINDS.get(name.rpartition(".")[2], "")
