"""docs/openapi.json: what the gateway serves at /openapi.json."""

from gateway import openapi
from gateway.rules import bindings_of
from scripts.pages import contracts


def made() -> str:
    """The document."""
    services, comments = contracts.read()
    bindings = [one for service in services for one in bindings_of(service)]
    return openapi.written(openapi.document(bindings, comments)).decode()
