"""`make up` on a machine without docker, and with one that only pretends."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from support.source import ROOT

from payment_svc.config import PaymentSettings

ASKED_FOR = re.compile(r"\$\{(\w+):\?")

# What stands in for docker: it notes what it was asked to do, and does as if. It has the volumes
# whose names are in the file `volumes`.
PRETENDED = """\
#!/bin/sh
echo "$*" >>asked
case "$*" in
*port*) echo 127.0.0.1:1 ;;
*build*) echo "without attestations: $BUILDX_NO_DEFAULT_ATTESTATIONS" >>asked ;;
"volume inspect "*) grep -qsx "$3" volumes ;;
esac
"""


def make_up(
    folder: Path, path: str, told: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run `make up` there, with these programs and variables."""
    return subprocess.run(
        [ROOT / "scripts/up"],
        cwd=folder,
        env={"PATH": path, **told},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def pretended(folder: Path) -> str:
    """A path with a docker on it that only pretends, in a folder with what is mounted."""
    for mounted in ("deploy/prometheus", "docs"):
        (folder / mounted).mkdir(parents=True)
        (folder / mounted).chmod(0o755)
    (folder / "deploy").chmod(0o755)
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
    (tmp_path / ".env").write_text("HOLDFAST_PORT=8081\nAUTH_JWT_SECRET=kept")
    make_up(tmp_path, path)
    again = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert again["AUTH_JWT_SECRET"] == "kept"
    assert again.keys() == {*values, "HOLDFAST_PORT"}
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
    printed = re.findall(r"http://127\.0\.0\.1:1(/api/\S*)", done.stdout)
    assert printed
    routes = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    assert [path for path in printed if path not in routes] == []


def test_the_same_is_built_twice(tmp_path: Path) -> None:
    """Nothing that differs from one build to the next is put into an image that has not changed."""
    make_up(tmp_path, pretended(tmp_path))
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [one for one in asked if "attestations" in one] == ["without attestations: 1"]


@pytest.mark.parametrize("project", ["", "another"])
def test_no_new_secrets_for_old_volumes(tmp_path: Path, project: str) -> None:
    """Where a database is and its passwords are not, `make up` makes none, and says so."""
    path = pretended(tmp_path)
    told = {"COMPOSE_PROJECT_NAME": project} if project else {}
    (tmp_path / "volumes").write_text(f"{project or 'holdfast'}_mysql\n")
    done = make_up(tmp_path, path, told)
    assert done.returncode == 1
    assert "no .env with its passwords" in done.stderr
    assert not (tmp_path / ".env").exists()
    (heading,) = re.findall(r"read '([^']+)' in docs/images.md", done.stderr)
    assert f"## {heading}\n" in (ROOT / "docs/images.md").read_text()
    (tmp_path / ".env").write_text("HOLDFAST_PORT=8081\n")
    assert make_up(tmp_path, path, told).returncode == 1
    assert (tmp_path / ".env").read_text() == "HOLDFAST_PORT=8081\n"
    # Of a clone that has a name of its own, and so has new volumes.
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=third\n")
    assert make_up(tmp_path, path).returncode == 0
    assert make_up(tmp_path, path, told).returncode == 0


@pytest.mark.parametrize(("name", "mode"), [("deploy/prometheus", 0o754), ("docs/page", 0o640)])
def test_containers_can_read_what_is_mounted(tmp_path: Path, name: str, mode: int) -> None:
    """Files that only their owner can read are noticed before anything is made or started."""
    path = pretended(tmp_path)
    (tmp_path / "docs/page").touch(0o644)
    assert make_up(tmp_path, path).returncode == 0
    (tmp_path / ".env").unlink()
    (tmp_path / "asked").unlink()
    (tmp_path / name).chmod(mode)
    done = make_up(tmp_path, path)
    assert done.returncode == 1
    assert "chmod -R o+rX deploy docs" in done.stderr
    assert not (tmp_path / ".env").exists()
    assert " up " not in (tmp_path / "asked").read_text()


def test_secrets_stay_here() -> None:
    """Neither git nor a build takes the file of secrets."""
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    assert "!.env" not in (ROOT / ".dockerignore").read_text()
