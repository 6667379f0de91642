"""Tokens that nobody would make in earnest: odd headers, odd claims, odd sizes."""

import hashlib
import hmac
import json
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ed25519
from support.tokens import AUDIENCE, SECRET, verifier

from chassis import tokens
from chassis.errors import TokenInvalid
from chassis.settings import AuthSettings
from chassis.tokens import Verifier

DEEP = "[" * 5000
HEADER = '{"alg":"HS256","typ":"JWT"}'
CLAIMS = json.dumps(
    {"sub": "ann", "scope": "bookings", "aud": AUDIENCE, "exp": int(time.time()) + 600}
)
# What stands in the header, or is the header.
HEADERS = {
    "none in other letters": '{"alg":"nOnE"}',
    "a list of algorithms": '{"alg":["HS256","none"]}',
    "no algorithm": '{"alg":null}',
    "no object": '["HS256"]',
    "no header": "",
    "without an end": DEEP,
    "an object without an end": '{"alg":' * 3000,
    "a number without an end": '{"alg":"HS256","x":%s}' % ("9" * 6000),
    "half of a character": '{"alg":"HS256","x":"\\ud800"}x',
    "an extension that must be understood": '{"alg":"HS256","crit":["x"],"x":1}',
    "claims that are not encoded": '{"alg":"HS256","b64":false,"crit":["b64"]}',
    "a list of keys": '{"alg":"HS256","kid":["k"]}',
    "a number for a key": '{"alg":"HS256","kid":7}',
}
# What is put in the place of a claim by a signer who is trusted.
ODD_CLAIMS = {
    "an end beyond time": '"exp":1e400',
    "an end that is no number": '"exp":NaN',
    "a list of ends": '"exp":[9999999999]',
    "a beginning that is no number": '"nbf":NaN',
    "a beginning beyond time": '"iat":1e400',
    "depth": '"x":' + DEEP + "]" * 5000,
    "a list of users": '"sub":["ann"]',
    "a user who is a number": '"sub":7',
    "a user of several lines": '"sub":"ann\\nroot"',
    "a user who moves a cursor": '"sub":"ann\\u001b[2J"',
    "a user who turns the line round": '"sub":"ann\\u202e"',
    "a user who is half a character": '"sub":"ann\\ud800"',
    "a user who cannot be seen": '"sub":"ann\\u200b"',
    "an object of scopes": '"scope":{"admin":true}',
    "an audience that is an object": '"aud":{"holdfast":1}',
}


def signed(header: str, claims: str) -> str:
    """A token with our secret, whatever is in it."""
    body = ".".join(jwt.utils.base64url_encode(one.encode()).decode() for one in (header, claims))
    signature = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).digest()
    return f"{body}.{jwt.utils.base64url_encode(signature).decode()}"


@pytest.fixture(params=["secret", "jwks"])
def checker(request: pytest.FixtureRequest, tmp_path: Path) -> Verifier:
    if request.param == "secret":
        return verifier()
    return key_set(tmp_path)[0]


def key_set(folder: Path) -> tuple[Verifier, ed25519.Ed25519PrivateKey]:
    """One that finds keys by their names, and the key that is named `k`."""
    key = ed25519.Ed25519PrivateKey.generate()
    public = jwt.get_algorithm_by_name("EdDSA").to_jwk(key.public_key(), as_dict=True)
    (folder / "jwks").write_text(json.dumps({"keys": [{**public, "kid": "k", "alg": "EdDSA"}]}))
    return tokens.verifier(AuthSettings(jwks_file=str(folder / "jwks"))), key


@pytest.mark.parametrize("kind", HEADERS)
def test_an_odd_header(checker: Verifier, kind: str) -> None:
    """A header that is none, or asks for what is not done here, is refused before all else."""
    for claims in (CLAIMS, "", DEEP):
        with pytest.raises(TokenInvalid):
            checker.verify(signed(HEADERS[kind], claims))


@pytest.mark.parametrize("kind", ODD_CLAIMS)
def test_odd_claims(kind: str) -> None:
    """Claims that make no sense are refused, though their signature is right."""
    name = ODD_CLAIMS[kind].split(":")[0].strip('"')
    kept = {one: value for one, value in json.loads(CLAIMS).items() if one != name}
    claims = f"{json.dumps(kept)[:-1]}, {ODD_CLAIMS[kind]}}}"
    with pytest.raises(TokenInvalid):
        verifier().verify(signed(HEADER, claims))


def test_a_token_without_end() -> None:
    """A token of megabytes is refused, and so is one of thousands of parts."""
    for token in ("a" * 4_000_000, f"{'a' * 2_000_000}.{'b' * 2_000_000}.c", "." * 100_000):
        with pytest.raises(TokenInvalid):
            verifier().verify(token)


def test_a_claim_that_is_given_twice() -> None:
    """Of a claim that is there twice the last counts, for all checks (RFC 7519, section 4)."""
    twice = f'{CLAIMS[:-1]}, "sub": "eve", "aud": "elsewhere"}}'
    with pytest.raises(TokenInvalid):
        verifier().verify(signed(HEADER, twice))
    last = f'{{"sub": "eve", "aud": "elsewhere", {CLAIMS[1:]}'
    assert verifier().verify(signed(HEADER, last)).user_id == "ann"


@pytest.mark.parametrize(
    "kid", ["../../../../dev/null", "/dev/null", "k' OR '1'='1", "k\0", "K", "k ", "", "%6b"]
)
def test_a_name_of_a_key_is_only_a_name(tmp_path: Path, kid: str) -> None:
    """A `kid` is compared with the names of keys: it is no path, no query and no pattern."""
    checker, key = key_set(tmp_path)
    claims = json.loads(CLAIMS)
    assert checker.verify(jwt.encode(claims, key, "EdDSA", headers={"kid": "k"})).user_id == "ann"
    with pytest.raises(TokenInvalid):
        checker.verify(jwt.encode(claims, key, "EdDSA", headers={"kid": kid}))
    # Signed with an empty file.
    with pytest.raises(TokenInvalid):
        checker.verify(signed(json.dumps({"alg": "HS256", "kid": kid}), CLAIMS))


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_a_token_brings_no_key(tmp_path: Path, name: str) -> None:
    """A key that a token brings with it, or says where it is, is not what it is checked with."""
    stranger = ed25519.Ed25519PrivateKey.generate()
    theirs = jwt.get_algorithm_by_name("EdDSA").to_jwk(stranger.public_key(), as_dict=True)
    given = {"jwk": theirs, "jku": "http://127.0.0.1:9/", "x5u": "http://127.0.0.1:9/"}
    pem = stranger.public_key().public_bytes(
        form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
    )
    brought = {"kid": "k", name: given.get(name, [pem.decode()])}
    token = jwt.encode(json.loads(CLAIMS), stranger, "EdDSA", headers=brought)
    with pytest.raises(TokenInvalid):
        key_set(tmp_path)[0].verify(token)
