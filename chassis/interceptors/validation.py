"""The input rules of the contract (protovalidate), enforced for every request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import protovalidate

from chassis.errors import InvalidField
from chassis.interceptors.around import AroundInterceptor, Call

# One for the process: it remembers the rules that it has compiled.
VALIDATOR = protovalidate.Validator()


class ValidationInterceptor(AroundInterceptor):
    """Refuses a request that breaks a rule, naming every bad field."""

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Surround one call."""
        violations = VALIDATOR.collect_violations(call.request)
        if violations:
            found = (violation.proto for violation in violations)
            raise InvalidField(*((_path(one.field), one.message) for one in found))
        yield


def _path(field: Any) -> str:
    """The path to a field, as in `seats[3].price`."""
    steps = []
    for element in field.elements if field is not None else ():
        index = element.subscript.value if element.subscript is not None else None
        steps.append(element.field_name + (f"[{index}]" if index is not None else ""))
    return ".".join(steps) or "(request)"
