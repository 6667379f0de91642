"""The document at /openapi.json, and whether the running programs do as it says."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.parameters import ParameterLocation
from support.rest import INTERNAL, Rest
from support.tokens import token_for

DOCUMENT = Path("docs/openapi.json")
EXAMPLES = 12
# Nothing is known of traces and names that are none, as their standards want it; and a caller that
# waits for no time at all is told 504, which would be found to be a fault.
HEADERS = {
    "X-Request-Id": "a-1",
    "X-Request-Timeout": "20",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
NOT_MEANT = {
    # What is right by its schema can be wrong by other rules: a check digit, a date, a key of an
    # earlier request.
    "positive_data_acceptance",
    # More is read than the document advises: null for what is absent, the numbers of enums, the
    # texts of numbers, as proto3 has it.
    "negative_data_rejection",
}
# For GET these are a booking called `confirm` and a payment called `process`.
NOT_MEANT_THERE = {"allow_header_conformance", "unsupported_method"}
TWO_MEANINGS = {"/api/bookings/confirm", "/api/payment/process"}
pytestmark = [
    pytest.mark.timeout(300),
    # Its own: it deprecates what it calls itself.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:schemathesis"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonschema"),
]

load_all_checks()
schema = schemathesis.openapi.from_path(DOCUMENT)


@pytest.fixture(scope="module")
def rest_settings() -> dict[str, str]:
    return {"GATEWAY_RATE_PER_S": "0"}


@pytest.fixture(scope="module")
def known(rest: Rest) -> dict[str, Any]:
    """Things that are there, by the names of the parameters that ask for them."""
    event = rest.event()
    held = rest.hold(event, "A1", "A2")
    body = {"reservationIds": held[:1], "paymentMethod": {"token": "pm_mock_success"}}
    booking = rest("POST", "/api/bookings/confirm", body, key="known").json()
    return {
        "eventId": event,
        "bookingId": booking["bookingId"],
        "paymentId": booking["paymentId"],
        "ids": held,
    }


def about_known_things(case: schemathesis.Case, known: dict[str, Any]) -> None:
    """Ask for what is there, where nothing is wrong on purpose."""
    parts = {
        ParameterLocation.PATH: case.path_parameters,
        ParameterLocation.QUERY: case.query,
    }
    for location, values in parts.items():
        made = case.meta.components.get(location) if case.meta is not None else None
        if made is None or made.mode.is_positive:
            values.update({name: known[name] for name in values if name in known})


def test_the_document_is_the_one_that_is_kept(rest: Rest) -> None:
    """What /openapi.json serves is the document of `docs/`, against which clients are made."""
    served = httpx.get(f"{rest.url}/openapi.json", trust_env=False)
    assert served.status_code == 200
    assert json.loads(served.content) == json.loads(DOCUMENT.read_bytes())


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_documented(
    case: schemathesis.Case, rest_stack: Any, known: dict[str, Any]
) -> None:
    """Whatever is sent, nothing is a 5xx, and status, type, headers and body are as documented."""
    about_known_things(case, known)
    case.headers.update(HEADERS)
    token = {"Authorization": f"Bearer {token_for('ann', 'admin')}"}
    names = NOT_MEANT | (NOT_MEANT_THERE if case.path in TWO_MEANINGS else set())
    left_out = [CHECKS.get_one(name) for name in names]
    answer = case.call_and_validate(
        base_url=rest_stack.url, headers=token, excluded_checks=left_out
    )
    assert not INTERNAL.search(answer.text), answer.text
