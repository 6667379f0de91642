"""`holdfast certs`: pairs that fit, for their owner only, and none half made."""

import errno
import os
import sys
from pathlib import Path

import pytest
from cryptography import x509

from chassis import tls_files
from chassis.tls_settings import TlsSettings
from cli import certificates, main, stack
from cli.failure import Failure

OTHERS = {"TLS_CERT_FILE": "x", "GATEWAY_TLS_KEY_FILE": "y", "BOOKING_LISTEN": "127.0.0.1:1"}
NAMES = ("booking_svc", "payment_svc", "inventory_svc", "gateway", "holdfast")


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run the command as a shell would; its exit code."""
    monkeypatch.setattr(sys, "argv", ["holdfast", "certs", "--folder", str(folder), *arguments])
    with pytest.raises(SystemExit) as ended:
        main.app()
    return ended.value.code or 0


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_certificate_for_each_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each program has a pair that its settings take, and that the authority vouches for."""
    folder = tmp_path / "new" / "tls"
    assert run(monkeypatch, folder) == 0
    assert held(folder).keys() == {
        f"{name}.{kind}" for name in (*NAMES, "ca") for kind in ("pem", "key")
    }
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    for name in NAMES:
        told = certificates.settings(folder, name)
        settings = {one.removeprefix("TLS_").lower(): value for one, value in told.items()}
        read = TlsSettings(**{key: settings[key] for key in ("cert_file", "key_file", "ca_file")})
        x509.load_pem_x509_certificate(Path(read.cert_file).read_bytes()).verify_directly_issued_by(
            ca
        )
        names = tls_files.names_in(Path(read.cert_file).read_bytes())
        assert {name, name.replace("_", "-"), "localhost"} == set(names)
    assert ("GATEWAY_TLS_CERT_FILE" in certificates.settings(folder, "gateway")) is True
    assert ("GATEWAY_TLS_CERT_FILE" in certificates.settings(folder, "booking_svc")) is False


def test_keys_are_for_their_owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody else can read a key, nor look into the folder."""
    folder = tmp_path / "tls"
    assert run(monkeypatch, folder) == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.key")} == {0o600}


def test_nothing_is_replaced_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is there stays, unless it is to be replaced; the authority stays in any case."""
    assert run(monkeypatch, tmp_path, "--name", "gateway") == 0
    before = held(tmp_path)
    assert before.keys() == {"ca.pem", "ca.key", "gateway.pem", "gateway.key"}
    assert run(monkeypatch, tmp_path) == 1
    assert "--force" in capsys.readouterr().err
    assert held(tmp_path) == before
    assert run(monkeypatch, tmp_path, "--name", "gateway", "--force", "--name", "more") == 0
    after = held(tmp_path)
    assert {name for name in before if after[name] != before[name]} == {
        "gateway.pem", "gateway.key",
    }  # fmt: skip
    (tmp_path / "more.pem").unlink()
    assert run(monkeypatch, tmp_path, "--name", "more") == 1


@pytest.mark.parametrize("name", ["ca", "", "../x", "a b", "seat\0", "座"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    """A name that would be another file, or the authority's, gets no certificate."""
    with pytest.raises(Failure, match="is no name for a certificate"):
        certificates.make(tmp_path / "tls", [name])
    assert not (tmp_path / "tls").exists()


def test_a_full_disk_leaves_what_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If one file cannot be written, all stays as it was, and nothing is left beside it."""
    certificates.make(tmp_path, ["one", "two"])
    before = held(tmp_path)
    opened, real = [], os.open

    def full(path: Path, flags: int, mode: int) -> int:
        opened.append(path)
        if len(opened) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        with pytest.raises(Failure, match="cannot be written: no space left on device"):
            certificates.make(tmp_path, ["one", "two"])
    assert len(opened) == 4
    assert held(tmp_path) == before


def test_half_an_authority(tmp_path: Path) -> None:
    """Where a half of the authority is gone nothing is made, and a sentence says what to do."""
    certificates.make(tmp_path, ["one"])
    (tmp_path / "ca.key").unlink()
    before = held(tmp_path)
    with pytest.raises(Failure, match=r"is of no use, .*: delete both"):
        certificates.make(tmp_path, ["one"])
    assert held(tmp_path) == before


def test_a_stack_of_its_own_has_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates for another stack are forgotten before a temporary one is started."""
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    stack.without_tls()
    assert {name for name in OTHERS if name in os.environ} == {"BOOKING_LISTEN"}


def test_what_is_missing_is_made(tmp_path: Path) -> None:
    """A half pair, and one of another authority, are made again; what is good is not touched."""
    folder = tmp_path / "tls"
    assert set(certificates.make_missing(folder)) == {*NAMES, "ca"}
    assert certificates.make_missing(folder) == []
    (folder / "gateway.key").unlink()
    assert certificates.make_missing(folder) == ["gateway"]
    certificates.make(tmp_path / "other", ["holdfast"])
    for path in certificates.pair(tmp_path / "other", "holdfast"):
        (folder / path.name).write_bytes(path.read_bytes())
    assert certificates.make_missing(folder) == ["holdfast"]
