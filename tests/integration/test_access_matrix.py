"""Every method of every service, and every kind of token: who gets in, and who does not."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from holdfast.auth.v1 import access_pb2
from support.access import KEY_SOURCES, REACHED, Keys, Servers, servers
from support.gateway import gateway
from support.methods import CONTRACTS, METHODS, request_of

from gateway import streams
from gateway.codec import Codec
from gateway.rules import Binding, bindings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

MISSING, INVALID = "UNAUTHENTICATED TOKEN_MISSING", "UNAUTHENTICATED TOKEN_INVALID"
EXPIRED, FORBIDDEN = "UNAUTHENTICATED TOKEN_EXPIRED", "PERMISSION_DENIED SCOPE_MISSING"
WAIT_S = 20.0
SCOPES = ("admin", "bookings", "inventory", "payments")
# They would open everything.
ALL = " ".join(SCOPES)
NOT_TOKENS = {
    "nothing": ("", MISSING),
    "a password": ("Basic YW5uOnBhc3N3b3Jk", MISSING),
    "no word before it": ("eyJhbGciOiJIUzI1NiJ9.e30.x", MISSING),
    "nothing behind it": ("Bearer", MISSING),
    "garbage": ("Bearer garbage", INVALID),
    "garbage with dots": ("Bearer ..", INVALID),
}
Make = Callable[[Keys], str]
BAD_TOKENS: dict[str, tuple[Make, str]] = {
    "expired": (lambda keys: keys.good(ALL, exp=1_000_000_000), EXPIRED),
    "without an end": (lambda keys: keys.good(ALL, exp=None), INVALID),
    "not yet valid": (lambda keys: keys.good(ALL, nbf=2**40), INVALID),
    "for another audience": (lambda keys: keys.good(ALL, aud="elsewhere"), INVALID),
    "for no audience": (lambda keys: keys.good(ALL, aud=None), INVALID),
    "of nobody": (lambda keys: keys.good(ALL, sub=None), INVALID),
    "signed by a stranger": (lambda keys: keys.strangers(ALL), INVALID),
    "unsigned": (lambda keys: keys.unsigned(ALL), INVALID),
    "of another algorithm": (lambda keys: keys.of_another_algorithm(ALL), INVALID),
    "altered": (lambda keys: keys.altered(ALL), INVALID),
}
# What the claim `scope` says; None: there is none.
NO_SCOPES = (None, "", "Admin BOOKINGS", "admins", "bookings,inventory,payments,admin")
ROUTES = {
    f"{one.verb} {one.method.name}": one
    for services in CONTRACTS.values()
    for service in services
    for one in bindings_of(service)
}


@pytest_asyncio.fixture(params=KEY_SOURCES, loop_scope="module", scope="module")
async def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Servers]:
    async with servers(request.param, tmp_path_factory.mktemp("access")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def http(asked: Servers) -> AsyncIterator[httpx.AsyncClient]:
    targets = {f"{one.removesuffix('_svc')}_target": at for one, at in asked.targets.items()}
    with pytest.MonkeyPatch.context() as patch:
        # Both ends are in this process: a pause of it is no silence of a service.
        patch.setattr(streams, "FIRST_WAIT_S", WAIT_S)
        async with gateway(**targets) as served:
            yield served.http


def scopes_of(method: MethodDescriptor) -> set[str]:
    options: Any = method.GetOptions()
    return set(options.Extensions[access_pb2.scopes])


def is_open(method: MethodDescriptor) -> bool:
    options: Any = method.GetOptions()
    return bool(options.Extensions[access_pb2.open])


def expected(refusal: str, *scopes: str) -> dict[str, str]:
    """What each method answers to a token with these scopes: all refuse but those they open."""
    return {
        one.name: REACHED if is_open(one) or {*scopes} & {"admin", *scopes_of(one)} else refusal
        for one in METHODS
    }


@pytest.mark.parametrize("kind", NOT_TOKENS)
async def test_without_a_token_nothing_opens(asked: Servers, kind: str) -> None:
    """What is no token opens no method but the open one, and none is reached."""
    authorization, refusal = NOT_TOKENS[kind]
    assert await asked.ask_all(authorization) == expected(refusal)


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_a_bad_token_opens_nothing(asked: Servers, kind: str) -> None:
    """A token that names every scope and is bad in one way opens no method but the open one."""
    make, refusal = BAD_TOKENS[kind]
    assert await asked.ask_all(f"Bearer {make(asked.keys)}") == expected(refusal)


@pytest.mark.parametrize("scope", NO_SCOPES)
async def test_a_token_for_nothing_opens_nothing(asked: Servers, scope: str | None) -> None:
    """A good token without a scope, or with one that there is not, is refused everywhere."""
    assert await asked.ask_all(f"Bearer {asked.keys.good(scope)}") == expected(FORBIDDEN)


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_scope_opens_its_methods(asked: Servers, scope: str) -> None:
    """A token with one scope opens the methods that name it and no others; `admin` opens all."""
    answers = await asked.ask_all(f"Bearer {asked.keys.good(scope)}")
    assert answers == expected(FORBIDDEN, scope)
    assert REACHED in answers.values()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_all_other_scopes_do_not_add_up(asked: Servers, method: MethodDescriptor) -> None:
    """All scopes together but those of a method do not open it; one of its own does."""
    others = set(SCOPES) - scopes_of(method) - {"admin"}
    token = asked.keys.good(" ".join(sorted(others)))
    assert await asked.ask(method, f"Bearer {token}") == (REACHED if is_open(method) else FORBIDDEN)
    for own in scopes_of(method):
        assert await asked.ask(method, f"bEARER {asked.keys.good(f'other {own}')}") == REACHED


async def over_http(http: httpx.AsyncClient, route: str, authorization: str) -> httpx.Response:
    binding = ROUTES[route]
    fields = json.loads(Codec().encode(request_of(binding.method)))
    named = [one.field_path[0] for one in binding.template.variables]
    known = {one.name: one.json_name for one in binding.method.input_type.fields}
    path = path_with(binding, [str(fields.pop(known[name]) or "x") for name in named])
    headers = {"authorization": authorization} if authorization else {}
    if binding.body:
        return await http.request(binding.verb, path, json=fields, headers=headers)
    return await http.request(binding.verb, path, params=fields, headers=headers)


def path_with(binding: Binding, values: list[str]) -> str:
    given = iter(values)
    return "/" + "/".join(
        next(given) if index in {one.first for one in binding.template.variables} else segment
        for index, segment in enumerate(binding.template.segments)
    )


@pytest.mark.parametrize("route", ROUTES)
async def test_the_same_over_http(asked: Servers, http: httpx.AsyncClient, route: str) -> None:
    """Over REST a bad token is 401 and told what is wanted, and a scope that lacks is 403."""
    method = ROUTES[route].method
    if is_open(method):
        assert (await over_http(http, route, "")).status_code == 200
        return
    for authorization, reason in (
        ("", "TOKEN_MISSING"),
        ("Basic YW5uOnBhc3N3b3Jk", "TOKEN_MISSING"),
        ("Bearer garbage", "TOKEN_INVALID"),
        (f"Bearer {asked.keys.good(ALL, exp=1_000_000_000)}", "TOKEN_EXPIRED"),
        (f"Bearer {asked.keys.unsigned(ALL)}", "TOKEN_INVALID"),
    ):
        refused = await over_http(http, route, authorization)
        assert (refused.status_code, refused.json()["error"]) == (401, reason)
        assert refused.headers["www-authenticate"] == "Bearer"
    others = " ".join(sorted(set(SCOPES) - scopes_of(method) - {"admin"}))
    refused = await over_http(http, route, f"Bearer {asked.keys.good(others)}")
    assert (refused.status_code, refused.json()["error"]) == (403, "SCOPE_MISSING")
    assert refused.json()["scopes"] == " ".join(sorted(scopes_of(method)))
    assert "www-authenticate" not in refused.headers
    before = len(asked.reached)
    for scope in scopes_of(method) | {"admin"}:
        answered = await over_http(http, route, f"Bearer {asked.keys.good(scope)}")
        assert answered.is_success, answered.text
    assert len(asked.reached) > before
