"""Settings of TLS: what is wrong with files is told at the start, and what is private stays so."""

import base64
import os
from datetime import timedelta
from pathlib import Path

import pytest
from support.certificates import Authority
from support.tokens import SECRET

from booking_svc.wiring import PROGRAM as BOOKING
from chassis import program, tls_files
from chassis.context import Caller
from chassis.program import Program
from chassis.settings import AuthSettings, SettingsError, load
from chassis.tls import Identities
from chassis.tls_files import TlsFiles
from chassis.tls_settings import TlsSettings, is_loopback, require_listener, require_private
from chassis.tokens import MintedServiceToken, ServiceTokenFile, service_token
from inventory_svc.wiring import PROGRAM as INVENTORY
from payment_svc.wiring import PROGRAM as PAYMENT

SERVICES = '{"booking_svc": "inventory payments"}'
# How the curve of a key is called, in bytes.
P_256, SM_2 = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a811ccf5501822d")
FITS = "does not fit the certificate"
TOGETHER = "a certificate and its key are set together"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def mistakes(monkeypatch: pytest.MonkeyPatch, **variables: object) -> dict[str, str]:
    """What is said of each variable when TLS is to be like this."""
    for name, value in variables.items():
        monkeypatch.setenv(f"TLS_{name}", str(value))
    with pytest.raises(SettingsError) as caught:
        load(TlsSettings)
    return dict(line.split(": ", 1) for line in str(caught.value).splitlines())


def test_without_a_setting_there_is_no_tls() -> None:
    """The defaults are right: no file is read, and nobody is known by a certificate."""
    settings = load(TlsSettings)
    assert (settings.cert_file, settings.scopes, settings.is_service) == ("", {}, False)


def test_mistakes_of_tls_are_told_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is away, one that is none, and JSON that is none are all told at once."""
    (tmp_path / "none").write_text("hello")
    told = mistakes(
        monkeypatch,
        CERT_FILE=tmp_path / "away",
        KEY_FILE=tmp_path / "none",
        CA_FILE=tmp_path / "none",
        SERVICES="{",
        CLIENTS="perhaps",
    )
    assert told.keys() == {
        f"TLS_{name}" for name in ("CERT_FILE", "KEY_FILE", "CA_FILE", "SERVICES", "CLIENTS")
    }
    assert told["TLS_CERT_FILE"].startswith("cannot be read: no such file or directory (it is '")
    assert told["TLS_KEY_FILE"].startswith("holds no private key in PEM")
    assert told["TLS_CA_FILE"].startswith("holds no certificate in PEM")
    assert told["TLS_SERVICES"].startswith("must be JSON, such as {")


def test_a_pair_is_a_pair(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, tmp_path: Path
) -> None:
    """A certificate without its key, with the key of another, or expired, is each told."""
    one, other = authority.files("one"), authority.files("other")
    old = authority.files("old", lasts=timedelta(hours=-1))
    assert TOGETHER in mistakes(monkeypatch, CERT_FILE=one.certificate)["TLS_KEY_FILE"]
    assert FITS in mistakes(monkeypatch, KEY_FILE=other.key)["TLS_KEY_FILE"]
    told = mistakes(monkeypatch, CERT_FILE=old.certificate, KEY_FILE=old.key)
    assert told.keys() == {"TLS_CERT_FILE"}
    assert "holds a certificate that expired at 20" in told["TLS_CERT_FILE"]
    assert TOGETHER in mistakes(monkeypatch, CERT_FILE="", KEY_FILE=one.key)["TLS_KEY_FILE"]
    assert str(tmp_path) in told["TLS_CERT_FILE"]


def test_a_key_of_no_known_kind(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """A key of a curve that nobody knows is told as any mistake, and changes nothing later."""
    files = authority.files("one")
    followed, good = TlsFiles(*files.settings.values()), files.key.read_bytes()
    odd = base64.b64decode(b"".join(good.splitlines()[1:-1]))
    assert P_256 in odd
    odd = base64.encodebytes(odd.replace(P_256, SM_2)).strip()
    files.key.write_bytes(b"\n".join((good.splitlines()[0], odd, good.splitlines()[-1])))
    told = mistakes(monkeypatch, CERT_FILE=files.certificate, KEY_FILE=files.key)
    assert told.keys() == {"TLS_KEY_FILE"}
    assert "a key of a kind that is not known here" in told["TLS_KEY_FILE"]
    monkeypatch.setattr(tls_files, "LOOK_EVERY_S", 0)
    followed._look_at_s = 0
    assert followed.current().key == good


def test_no_key_is_shown(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, tmp_path: Path
) -> None:
    """What a wrong file holds is not repeated: it may be a key at the wrong place."""
    key = authority.files("one").key
    told = mistakes(monkeypatch, CERT_FILE=key, KEY_FILE=key, CA_FILE=key)
    assert told.keys() == {"TLS_CERT_FILE", "TLS_CA_FILE"}
    body = key.read_text().splitlines()[1]
    assert not any(body in line for line in told.values())
    assert tmp_path.exists()


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ("[]", "must be JSON"),
        ('{"a": ["inventory"]}', "must be JSON"),
        ('{"": "inventory"}', "'' is no name of a certificate"),
        ('{"a b": "inventory"}', "'a b' is no name of a certificate"),
        (SERVICES, "a name is believed only if TLS_CA_FILE vouches for it"),
    ],
)
def test_services_that_are_none(monkeypatch: pytest.MonkeyPatch, services: str, said: str) -> None:
    """Names without scopes, no names, and names that nobody vouches for are refused."""
    assert mistakes(monkeypatch, SERVICES=services)["TLS_SERVICES"].startswith(said)


def test_names_need_certificates_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    """Where callers are asked for no certificate, no name in one can be believed."""
    told = mistakes(monkeypatch, CA_FILE=authority.file, CLIENTS="none", SERVICES=SERVICES)
    assert told.keys() == {"TLS_SERVICES"}


def test_who_asks_for_certificates_speaks_tls(authority: Authority) -> None:
    """A listener that has authorities and no certificate of its own would ask nobody: refused."""
    asks = TlsSettings(ca_file=str(authority.file))
    with pytest.raises(SettingsError, match="TLS_CERT_FILE: not set, and TLS_CA_FILE is"):
        require_listener(asks)
    require_listener(TlsSettings(ca_file=str(authority.file), clients="none"))
    require_listener(TlsSettings(**authority.files("one").settings))


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1:1", True),
        ("127.255.0.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        # A name, to what is not gRPC.
        ("unix:1", False),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("[::ffff:127.0.0.1]:1", False),
        ("10.0.0.1:1", False),
        ("128.0.0.1:1", False),
        ("localhost.example:1", False),
        ("127.0.0.1.example:1", False),
        ("*:1", False),
    ],
)
def test_what_only_this_machine_reaches(address: str, private: bool) -> None:  # noqa: FBT001
    """Loopback is what is loopback by its number, or called localhost, and nothing else."""
    assert is_loopback(address) is private
    plain = {"X_LISTEN": address, "X_METRICS_LISTEN": ""}
    require_private(TlsSettings(plaintext_beyond_loopback=True), plain, "TLS_CERT_FILE")
    if private:
        require_private(TlsSettings(), plain, "TLS_CERT_FILE")
        return
    with pytest.raises(SettingsError, match=r"^X_LISTEN: can be reached") as caught:
        require_private(TlsSettings(), plain, "TLS_CERT_FILE")
    assert "TLS_PLAINTEXT_BEYOND_LOOPBACK=true" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("service", [BOOKING, PAYMENT, INVENTORY], ids=lambda one: one.name)
def test_no_plaintext_beyond_this_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], service: Program
) -> None:
    """Without TLS a service on other addresses than loopback names each, and ends with 2."""
    monkeypatch.setattr(os, "umask", lambda _: 0)
    monkeypatch.setenv("AUTH_JWT_SECRET", SECRET)
    prefix = service.settings.model_config["env_prefix"]
    listens = {f"{prefix}LISTEN": "0.0.0.0:0", f"{prefix}METRICS_LISTEN": "192.0.2.1:0"}
    for name, value in listens.items():
        monkeypatch.setenv(name, value)
    assert program.main(service, ["serve"]) == 2
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == f"{service.name}: the settings are not right:"
    assert [line.split(":")[0].strip() for line in lines] == list(listens)
    assert all("Set TLS_CERT_FILE and TLS_KEY_FILE" in line for line in lines)
    assert all("TLS_PLAINTEXT_BEYOND_LOOPBACK=true" in line for line in lines)


def test_who_a_connection_is() -> None:
    """A name of a host or a service counts, the first of the settings; any other field does not."""
    known = Identities({"a": frozenset({"inventory"}), "spiffe://x/b": frozenset({"payments"})})
    a, b = Caller("service:a", frozenset({"inventory"})), Caller("service:spiffe://x/b", frozenset({"payments"}))  # fmt: skip  # noqa: E501
    assert known.caller({"peer_dns": [b"z", b"a"]}) == a
    assert known.caller({"peer_uri": [b"spiffe://x/b"]}) == b
    assert known.caller({"peer_uri": [b"spiffe://x/b"], "peer_dns": [b"a"]}) == a
    for other in (
        {},
        {"peer_dns": [b"A", b"aa", b"a.", b"\xff"]},
        {"peer_uri": [b"spiffe://x/b/"]},
        {"x509_common_name": [b"a"], "x509_subject": [b"CN=a"], "peer_email": [b"a"]},
    ):
        assert known.caller(other) is None
    assert Identities({}).caller({"peer_dns": [b"a"]}) is None


def test_a_token_or_a_certificate(authority: Authority, tmp_path: Path) -> None:
    """A token file counts, then a service's certificate, then a secret, then any certificate."""
    (tmp_path / "token").write_text("t")
    files = authority.files("booking_svc")
    certified = TlsSettings(**files.settings)
    service = TlsSettings(**files.settings, services=SERVICES)
    another = TlsSettings(**authority.files("gateway").settings, services=SERVICES)
    secret, nothing = AuthSettings(jwt_secret=SECRET), AuthSettings()
    given = AuthSettings(service_token_file=str(tmp_path / "token"), jwt_secret=SECRET)
    made = [
        service_token(auth, "booking_svc", "payments", tls)
        for auth, tls in (
            (given, service), (secret, service), (nothing, service),
            (secret, another), (secret, certified), (nothing, certified),
        )
    ]  # fmt: skip
    assert [type(one) for one in made] == [
        ServiceTokenFile, type(None), type(None),
        MintedServiceToken, MintedServiceToken, type(None),
    ]  # fmt: skip
    with pytest.raises(SettingsError, match=r"AUTH_SERVICE_TOKEN_FILE: not set.*TLS_CERT_FILE"):
        service_token(nothing, "booking_svc", "payments", TlsSettings())


def test_files_are_followed(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is half replaced, gone or expired keeps what was read, and is told once; then new."""
    monkeypatch.setattr(tls_files, "LOOK_EVERY_S", 0)
    files, next_ones = authority.files("one"), authority.files("one", called="next")
    over = authority.files("one", called="over", lasts=timedelta(hours=-1))
    followed = TlsFiles(*files.settings.values())
    first = followed.current()
    assert followed.current() is first
    key, halves = files.key.read_bytes(), next_ones.certificate.read_bytes()

    def keeps(certificate: bytes, told: str) -> None:
        files.certificate.write_bytes(certificate)
        assert [followed.current() is first for _ in range(3)] == [True] * 3
        (line,) = capsys.readouterr().out.splitlines()
        assert "tls_files_unusable" in line
        assert told in line

    keeps(halves, FITS)
    keeps(halves[:200], "holds no certificate in PEM")
    files.key.write_bytes(over.key.read_bytes())
    keeps(over.certificate.read_bytes(), "expired at")
    files.key.write_bytes(key)
    files.certificate.unlink()
    assert followed.current() is first
    files.become(next_ones)
    second = followed.current()
    assert second is not first
    assert second.certificate == halves
    assert followed.current() is second
