"""`make up` on a machine without docker, and with one that only pretends."""

import re
import subprocess
from pathlib import Path

from support.source import ROOT

from payment_svc.config import PaymentSettings

ASKED_FOR = re.compile(r"\$\{(\w+):\?")

# What stands in for docker: it notes what it was asked to do, and does as if.
PRETENDED = """\
#!/bin/sh
echo "$*" >>asked
case "$*" in *port*) echo 127.0.0.1:1 ;; esac
"""


def make_up(folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Run `make up` there, with these programs."""
    return subprocess.run(
        [ROOT / "scripts/up"],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def pretended(folder: Path) -> str:
    """A path with a docker on it that only pretends."""
    docker = folder / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(PRETENDED)
    docker.chmod(0o700)
    return f"{docker.parent}:/usr/bin:/bin"


def test_without_docker(tmp_path: Path) -> None:
    """Where there is no docker, `make up` says what to install and what works without, and ends."""
    empty = tmp_path / "bin"
    empty.mkdir()
    done = make_up(tmp_path, str(empty))
    assert done.returncode == 1
    assert "there is no 'docker' here" in done.stderr
    assert "make run" in done.stderr
    assert not (tmp_path / ".env").exists()


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """`make up` makes all that compose.yaml asks for, for its owner only, and never changes it."""
    path = pretended(tmp_path)
    done = make_up(tmp_path, path)
    assert done.returncode == 0, done.stderr
    made = (tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in made.splitlines())
    assert values.keys() == set(ASKED_FOR.findall((ROOT / "compose.yaml").read_text()))
    assert len(set(values.values())) == len(values)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert not any(value in done.stdout + done.stderr for value in values.values())
    # Of a version that knew fewer of them.
    (tmp_path / ".env").write_text("AUTH_JWT_SECRET=kept\n")
    make_up(tmp_path, path)
    again = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert again["AUTH_JWT_SECRET"] == "kept"
    assert again.keys() == values.keys()
    settings = PaymentSettings(webhook_secrets=again["PAYMENT_WEBHOOK_SECRETS"])
    assert settings.webhook_keys


def test_up_builds_starts_and_waits(tmp_path: Path) -> None:
    """`make up` builds, starts, waits until all is healthy, and says where everything is."""
    done = make_up(tmp_path, pretended(tmp_path))
    asked = (tmp_path / "asked").read_text().splitlines()
    assert "compose --profile tools build" in asked
    assert any("up --detach --wait" in line for line in asked)
    assert "http://127.0.0.1:1/docs" in done.stdout
    assert "docker compose run --rm holdfast demo" in done.stdout


def test_secrets_stay_here() -> None:
    """Neither git nor a build takes the file of secrets."""
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    assert "!.env" not in (ROOT / ".dockerignore").read_text()
