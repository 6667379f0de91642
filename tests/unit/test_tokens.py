"""Tokens: which are trusted, and which tricks are not."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from support.tokens import AUDIENCE, SECRET, token_for, verifier

from chassis import tokens
from chassis.context import Caller
from chassis.errors import TokenExpired, TokenInvalid
from chassis.settings import AuthSettings, SettingsError
from chassis.tokens import MintedServiceToken, Minter, ServiceTokenFile, Verifier

MAKE_KEY: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
ANN = Caller("ann", frozenset({"bookings"}))


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims, with changes; a change to `None` takes the claim away."""
    good = {"sub": "ann", "scope": "bookings", "aud": AUDIENCE, "exp": int(time.time()) + 600}
    return {name: value for name, value in (good | changes).items() if value is not None}


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


def jwk(algorithm: str, key: Any, kid: str) -> dict[str, Any]:
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": kid, "alg": algorithm, "use": "sig"}


def write_jwks(path: Path, *keys: dict[str, Any]) -> None:
    """Write a JWKS file, and make sure that its time of change is another."""
    path.write_text(json.dumps({"keys": keys}))
    _touch(path)


def _touch(path: Path) -> None:
    now_ns = path.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(now_ns, now_ns))


def refuses(checker: Verifier, token: str) -> bool:
    with pytest.raises(TokenInvalid):
        checker.verify(token)
    return True


def test_a_token_names_its_caller() -> None:
    """A good token gives user and scopes."""
    assert verifier().verify(token_for("ann", "bookings payments")) == Caller(
        "ann", frozenset({"bookings", "payments"})
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "elsewhere"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a" * 129},
        {"sub": "ann "},
        {"sub": "ann\x1b[2J"},
        {"sub": "ann\nbob"},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 2**40},
        {"scope": ["bookings"]},
        {"scope": 7},
    ],
    ids=str,
)
def test_wrong_claims_are_refused(changes: dict[str, Any]) -> None:
    """Audience, subject and expiry must be there and right; a scope is text."""
    assert refuses(verifier(), jwt.encode(claims(**changes), SECRET, algorithm="HS256"))


def test_a_token_without_scopes_opens_nothing() -> None:
    """A missing scope claim is no scope, and no error."""
    token = jwt.encode(claims(scope=None), SECRET, algorithm="HS256")
    assert verifier().verify(token) == Caller("ann", frozenset())


def test_a_token_ends() -> None:
    """A token past its time is TokenExpired, but for the few seconds that clocks may differ."""
    assert verifier().verify(token_for("ann", lifetime_s=-2)) == ANN
    with pytest.raises(TokenExpired):
        verifier().verify(token_for("ann", lifetime_s=-tokens.LEEWAY_S - 5))


def test_an_expired_forgery_is_a_forgery() -> None:
    """That its time is over is said only of a token whose signature is right."""
    forged = Minter("another secret, also of 32 bytes or more", AUDIENCE).mint("ann", "", -600)
    assert refuses(verifier(), forged)


@pytest.mark.parametrize(("issuer", "good"), [("us", True), ("them", False), (None, False)])
def test_the_issuer_is_checked_when_it_is_set(issuer: str | None, *, good: bool) -> None:
    """With `AUTH_ISSUER` a token of another issuer, or of none, is refused."""
    checker = tokens.verifier(AuthSettings(jwt_secret=SECRET, issuer="us"))
    token = jwt.encode(claims(iss=issuer), SECRET, algorithm="HS256")
    assert checker.verify(token) == ANN if good else refuses(checker, token)


@pytest.mark.parametrize("algorithm", MAKE_KEY)
def test_a_public_key_checks_tokens(tmp_path: Path, algorithm: str) -> None:
    """RS256, ES256 and EdDSA tokens are checked with a PEM file; another key's are refused."""
    key, other = MAKE_KEY[algorithm](), MAKE_KEY[algorithm]()
    path = tmp_path / "key.pem"
    path.write_bytes(pem(key))
    checker = tokens.verifier(AuthSettings(public_key_file=str(path)))
    assert checker.verify(jwt.encode(claims(), key, algorithm=algorithm)) == ANN
    assert refuses(checker, jwt.encode(claims(), other, algorithm=algorithm))


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("RS256", "PKCS8"),
        ("RS256", "TraditionalOpenSSL"),
        ("ES256", "PKCS8"),
        ("ES256", "TraditionalOpenSSL"),
        ("EdDSA", "PKCS8"),
    ],
)
def test_a_private_key_is_not_given_to_a_service(tmp_path: Path, algorithm: str, kind: str) -> None:
    """A PEM file with a private key of any type is refused at start, in words and not in full."""
    path = tmp_path / "key.pem"
    key_form = getattr(form.PrivateFormat, kind)
    private = MAKE_KEY[algorithm]().private_bytes(form.Encoding.PEM, key_form, form.NoEncryption())
    path.write_bytes(private)
    with pytest.raises(SettingsError, match=r"AUTH_PUBLIC_KEY_FILE: .*private key") as caught:
        tokens.verifier(AuthSettings(public_key_file=str(path)))
    assert private.splitlines()[1].decode() not in str(caught.value)


@pytest.mark.parametrize("source", ["secret", "pem", "jwks"])
def test_the_token_does_not_choose_its_algorithm(tmp_path: Path, source: str) -> None:
    """`alg: none`, and HS256 with the public key as the secret, are refused whatever the source."""
    key = MAKE_KEY["RS256"]()
    (tmp_path / "pem").write_bytes(pem(key))
    write_jwks(tmp_path / "jwks", jwk("RS256", key, "k1"))
    given = {
        "secret": {"jwt_secret": SECRET},
        "pem": {"public_key_file": str(tmp_path / "pem")},
        "jwks": {"jwks_file": str(tmp_path / "jwks")},
    }[source]
    checker = tokens.verifier(AuthSettings(**given))
    for kid in ({}, {"kid": "k1"}):
        assert refuses(checker, jwt.encode(claims(), None, algorithm="none", headers=kid))
        assert refuses(checker, hs256_with(pem(key), kid))


def hs256_with(secret: bytes, headers: dict[str, str]) -> str:
    """An HS256 token that the library would not make: signed with a public key."""
    algorithm = jwt.get_algorithm_by_name("HS256")
    parts = [{"alg": "HS256", "typ": "JWT", **headers}, claims()]
    body = b".".join(jwt.utils.base64url_encode(json.dumps(part).encode()) for part in parts)
    signature = algorithm.sign(body, secret)
    return b".".join([body, jwt.utils.base64url_encode(signature)]).decode()


def test_a_key_set_chooses_by_kid(tmp_path: Path) -> None:
    """Each token is checked with the key that it names; an unknown or missing name is refused."""
    old, new = MAKE_KEY["RS256"](), MAKE_KEY["EdDSA"]()
    write_jwks(tmp_path / "jwks", jwk("RS256", old, "old"), jwk("EdDSA", new, "new"))
    checker = tokens.verifier(AuthSettings(jwks_file=str(tmp_path / "jwks")))
    sign = jwt.encode
    assert checker.verify(sign(claims(), old, "RS256", headers={"kid": "old"})) == ANN
    assert checker.verify(sign(claims(), new, "EdDSA", headers={"kid": "new"})) == ANN
    assert refuses(checker, sign(claims(), new, "EdDSA", headers={"kid": "old"}))
    assert refuses(checker, sign(claims(), new, "EdDSA", headers={"kid": "newer"}))
    assert refuses(checker, sign(claims(), new, "EdDSA"))


def test_keys_are_rotated_without_a_restart(tmp_path: Path) -> None:
    """When the file changes, a new key is trusted and a key that is gone no longer is."""
    first, second = MAKE_KEY["EdDSA"](), MAKE_KEY["EdDSA"]()
    path = tmp_path / "jwks"
    write_jwks(path, jwk("EdDSA", first, "1"))
    checker = tokens.verifier(AuthSettings(jwks_file=str(path)))
    made = {
        kid: jwt.encode(claims(), key, "EdDSA", headers={"kid": kid})
        for kid, key in (("1", first), ("2", second))
    }
    assert checker.verify(made["1"]) == ANN
    assert refuses(checker, made["2"])
    write_jwks(path, jwk("EdDSA", second, "2"))
    assert checker.verify(made["2"]) == ANN
    assert refuses(checker, made["1"])


@pytest.mark.parametrize("broken", ["", "{", '{"keys": []}', "[]", None])
def test_a_rotation_that_goes_wrong_keeps_the_old_keys(tmp_path: Path, broken: str | None) -> None:
    """While the file is half written, broken or gone, the keys read last stay in use."""
    key = MAKE_KEY["EdDSA"]()
    path = tmp_path / "jwks"
    write_jwks(path, jwk("EdDSA", key, "1"))
    checker = tokens.verifier(AuthSettings(jwks_file=str(path)))
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
        _touch(path)
    token = jwt.encode(claims(), key, "EdDSA", headers={"kid": "1"})
    assert [checker.verify(token), checker.verify(token)] == [ANN, ANN]


@given(token=st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}\.[a-z]{0,9}"))
def test_any_text_is_a_token_or_a_refusal(token: str) -> None:
    """Rubbish is TokenInvalid and never another exception."""
    assert refuses(verifier(), token)


def test_a_service_renews_its_own_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's token is kept while it is fresh, and renewed long before it ends."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    source = MintedServiceToken(Minter(SECRET, AUDIENCE), "booking_svc", "inventory payments")
    first = source.current()
    assert verifier().verify(first).scopes == {"inventory", "payments"}
    monkeypatch.setattr(source, "_token", "kept")
    assert source.current() == "kept"
    now += tokens.SERVICE_TOKEN_RENEW_S
    assert verifier().verify(source.current()).user_id == "booking_svc"


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A token that something else keeps fresh is picked up; with the file gone the last stays."""
    path = tmp_path / "token"
    path.write_text("first\n")
    source = ServiceTokenFile(str(path))
    assert source.current() == "first"
    path.write_text("second\n")
    _touch(path)
    assert source.current() == "second"
    path.unlink()
    assert source.current() == "second"
