"""The documentation as pages: `/openapi.json`, and Swagger UI for it at `/docs`.

All that a browser loads is served from here, from installed files; it asks no other address.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from gateway import files, openapi
from gateway.answers import Response
from gateway.comments import comments_of
from gateway.openapi_schemas import Numbers
from gateway.rules import Binding

DOCUMENT = "/openapi.json"
DOCS = "/docs"
# It holds the files of Swagger UI. It is not imported: that would load a web framework.
PACKAGE = "flask_swagger_ui"
FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
START = "start.js"
# Addresses are relative, so that it works below a prefix, too. The page's own is `/docs`.
PAGE = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/{START}"></script>
</body>
</html>
"""
# Without `validatorUrl: null` the document's address would be told to a service outside.
STARTED = """\
"use strict";
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
# Swagger UI writes styles into elements, and images into its style sheet.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


class PagesError(Exception):
    """The files of the page are not installed."""


class Pages:
    """The pages, made once."""

    def __init__(
        self,
        bindings: Sequence[Binding],
        contracts: Mapping[str, FileDescriptorProto],
        numbers: Numbers = openapi.DEFAULT_NUMBERS,
    ) -> None:
        """Describe these ways to reach methods, with the comments of their files.

        Raises:
            PagesError: as named.
        """
        described = openapi.document(bindings, comments_of(contracts.values()), numbers)
        folder = _folder()
        self._pages = {
            DOCUMENT: _page(openapi.written(described), "application/json", files.ASKED_AGAIN),
            DOCS: _page(PAGE.encode(), "text/html; charset=utf-8", files.ASKED_AGAIN),
            f"{DOCS}/{START}": _page(
                STARTED.encode(), "text/javascript; charset=utf-8", files.KEPT
            ),
            **{
                f"{DOCS}/{name}": _page((folder / name).read_bytes(), kind, files.KEPT)
                for name, kind in FILES.items()
            },
        }

    def page(self, path: str, if_none_match: str = "") -> Response | None:
        """What is at a path, or None; without its body if its reader has it already."""
        if path == f"{DOCS}/":
            # The addresses in the page are relative to the path without the slash.
            return Response(HTTPStatus.PERMANENT_REDIRECT, b"", {"location": f"..{DOCS}"})
        return files.unless_known(self._pages.get(path), if_none_match)


def _folder() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        message = f"the package {PACKAGE} is not installed; install it or set GATEWAY_DOCS=false"
        raise PagesError(message)
    return Path(spec.origin).parent / "dist"


def _page(body: bytes, kind: str, kept: str) -> Response:
    return files.made(body, kind, kept, POLICY)
