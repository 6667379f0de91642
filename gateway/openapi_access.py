"""Who may call an operation, in OpenAPI: what `holdfast.auth.v1` says in its contract, if it does.

Whether a caller may is decided by the service that is called. Nothing is decided here.
"""

from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from holdfast.auth.v1 import access_pb2

from gateway.openapi_limits import Schema

SCHEME = "bearer"
ADMIN = "admin"


def scopes_of(method: MethodDescriptor) -> list[str]:
    """The scopes of which a token needs one; empty if the contract names none."""
    options: Any = method.GetOptions()
    named = list(options.Extensions[access_pb2.scopes])
    return [*named, *([ADMIN] if named and ADMIN not in named else [])]


def is_open(method: MethodDescriptor, *, raw: bool) -> bool:
    """Whether the method needs no token.

    A contract that does not say so means it of what takes raw bytes: whoever sends them signs them.
    """
    options: Any = method.GetOptions()
    return (options.Extensions[access_pb2.open] or raw) and not scopes_of(method)


def in_words(method: MethodDescriptor) -> str:
    """What a token must allow, as a sentence; empty if the contract does not say."""
    named = [f"`{one}`" for one in scopes_of(method)]
    if not named:
        return ""
    return f"Needs a token with the scope {' or '.join(named)}."


def security(method: MethodDescriptor) -> Schema:
    """The same as OpenAPI has it, each scope another way in; nothing if the contract names none."""
    named = scopes_of(method)
    return {"security": [{SCHEME: [one]} for one in named]} if named else {}
