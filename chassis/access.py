"""Who may call which method, as the contract says in the options of the methods."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, ServiceDescriptor

from chassis.context import ADMIN

ADMINS = frozenset({ADMIN})


@dataclass(frozen=True)
class Access:
    """The scopes of methods, each named as `/package.Service/Method`.

    A method that nothing is said of is for admins.
    """

    # Method to the scopes of which one opens it.
    scopes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # Methods that need no token: they check for themselves who calls.
    open_methods: frozenset[str] = frozenset()

    def scopes_of(self, method: str) -> frozenset[str]:
        """The scopes of which a token needs one; `admin` opens every method besides."""
        return self.scopes.get(method, ADMINS)


def access_of(
    services: Iterable[ServiceDescriptor], scopes: FieldDescriptor, without_token: FieldDescriptor
) -> Access:
    """What the contracts of services say, in these two extensions of the options of a method.

    One that names scopes needs a token, whatever else is said of it.
    """
    named: dict[str, frozenset[str]] = {}
    open_methods = set()
    for service in services:
        for method in service.methods:
            # The stubs of protobuf know no extensions.
            options: Any = method.GetOptions()
            path = f"/{service.full_name}/{method.name}"
            if options.Extensions[scopes]:
                named[path] = frozenset(options.Extensions[scopes])
            elif options.Extensions[without_token]:
                open_methods.add(path)
    return Access(named, frozenset(open_methods))
