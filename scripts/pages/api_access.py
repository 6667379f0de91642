"""What a method asks of its caller: a token, and what to do before calling it again."""

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from gateway import openapi_access

KEY = "idempotency_key"
KEY_NEEDED = "IDEMPOTENCY_KEY_REQUIRED"


def scopes(method: MethodDescriptor) -> str:
    """The scopes of which one opens a method, besides `admin`."""
    named = openapi_access.scopes_of(method)
    others = [f"`{one}`" for one in named if one != openapi_access.ADMIN or len(named) == 1]
    return " or ".join(others) or "none, it needs no token"


def repeats(method: MethodDescriptor, comment: str) -> str:
    """Whether a call may be sent again, in a few words."""
    level = method.GetOptions().idempotency_level
    if level == MethodOptions.NO_SIDE_EFFECTS:
        return "yes, it reads"
    if level == MethodOptions.IDEMPOTENT:
        return "yes"
    if KEY in method.input_type.fields_by_name:
        return "with its key, which it needs" if KEY_NEEDED in comment else "with a key"
    return "no"


def idempotency(method: MethodDescriptor, comment: str) -> str:
    """The same in full."""
    return {
        "yes, it reads": "yes, it changes nothing",
        "yes": "yes, it is idempotent",
        "with its key, which it needs": "with the same idempotency key, which every call needs",
        "with a key": "with the same idempotency key; without one, each call is a new one",
        "no": "no, each call is a new one",
    }[repeats(method, comment)]
