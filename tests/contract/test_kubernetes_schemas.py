"""What stands in deploy/kubernetes is what Kubernetes takes."""

import copy
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils
from support.kustomize import CALLED_BY, Resource, documents, rendered, with_component
from support.manifests import KUBERNETES, OVERLAYS, of_overlay

# The oldest that docs/kubernetes.md names, and the newest that there are schemas of.
VERSIONS = ("1.30", "1.37")
# What other projects add to Kubernetes has no schema here.
OTHERS = {
    "cert-manager.io/v1": {"Certificate", "Issuer"},
    "monitoring.coreos.com/v1": {"PodMonitor"},
}
POD_MONITOR = KUBERNETES / "components/pod-monitor"
# Each is a folder that somebody applies.
APPLIED = (
    "overlays/development",
    "overlays/production",
    "overlays/production/migrations",
    "overlays/production/post-migrations",
)
# What the hash in a name is made of.
HASH = "[2456789bcdfghkmt]{10}"
Spoil = Callable[[Resource], None]


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schemas are a megabyte, and read anew for each resource otherwise."""
    monkeypatch.setattr(utils, "schema_contents", read)


@functools.cache
def read(name: str, version: str) -> Any:
    return original(name, version)


original = utils.schema_contents


@functools.cache
def everything() -> list[Resource]:
    """All resources, with those that are optional."""
    production = of_overlay("production").resources
    post = rendered(KUBERNETES / "overlays/production/post-migrations")
    optional = with_component(production, POD_MONITOR)
    return [*of_overlay("development").resources, *optional, *post]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    """Every resource of every overlay fits the schemas of Kubernetes, which know all its fields."""
    checked = 0
    for one in everything():
        if one["kind"] not in OTHERS.get(one["apiVersion"], ()):
            kubernetes_validate.validate(one, version, strict=True)
            checked += 1
    assert checked > 80


def spoilt(field: str, value: object) -> Spoil:
    """Put a value where a path of names and numbers leads to."""

    def spoil(one: Resource) -> None:
        *way, last = (int(part) if part.isdecimal() else part for part in field.split("."))
        place: Any = one
        for part in way:
            place = place[part]
        place[last] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        spoilt("spec.replicas", "two"),
        spoilt("spec.template.spec.containers.0.readynessProbe", {}),
        spoilt("spec.template.spec.containers.0.startupProbe.exec", "python"),
        spoilt("spec.template.spec.containers.0.ports.0", {"name": "grpc"}),
        lambda one: one["spec"].pop("selector"),
    ],
    ids=["type", "misspelt", "no list", "nothing needed", "no selector"],
)
def test_a_mistake_is_found(spoil: Spoil) -> None:
    """A Deployment with a field of a wrong name or kind, or without one it needs, is refused."""
    one = copy.deepcopy(of_overlay("production").all("Deployment")["booking-svc"])
    spoil(one)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)


def test_nothing_lies_about() -> None:
    """Every file in deploy/kubernetes is part of something that is applied, or may be."""
    used = {KUBERNETES / "namespace.yaml"}
    todo = [*(KUBERNETES / name for name in APPLIED), POD_MONITOR]
    while todo:
        path = todo.pop()
        if path.is_dir():
            path /= "kustomization.yaml"
            (told,) = documents(path)
            names = [*told.get("resources", ()), *told.get("components", ())]
            names += [patch["path"] for patch in told.get("patches", ())]
            todo += [(path.parent / name).resolve() for name in names]
        used.add(path)
    inside = {path for path in used if KUBERNETES in path.parents}
    assert inside == {path for path in KUBERNETES.rglob("*") if path.is_file()}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl to compare with")
@pytest.mark.parametrize("name", APPLIED)
def test_kubectl_makes_the_same_of_it(name: str) -> None:
    """What the tests read of an overlay is what kubectl applies."""
    require_same(rendered(KUBERNETES / name), KUBERNETES / name)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl to compare with")
def test_kubectl_makes_the_same_of_what_is_optional(tmp_path: Path) -> None:
    """What the tests read of an overlay with the optional component is what kubectl applies."""
    production = KUBERNETES / "overlays/production"
    told = {
        "namespace": "holdfast",
        "resources": [os.path.relpath(production, tmp_path)],
        "components": [os.path.relpath(POD_MONITOR, tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(told))
    require_same(with_component(rendered(production), POD_MONITOR), tmp_path)


def require_same(ours: list[Resource], folder: Path) -> None:
    """Compare with what kubectl makes of a folder, but for the hashes, which must be there."""
    made = subprocess.run(
        ["kubectl", "kustomize", str(folder)],  # noqa: S607 - the one that is installed
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for one in ours:
        if one["kind"] == "ConfigMap":
            called = one["metadata"]["name"]
            made, hashes = re.subn(rf"\b{called}-{HASH}\b", called, made)
            assert hashes, f"a changed {called} replaces nobody"
    theirs = [ordered(one) for one in yaml.safe_load_all(made)]
    assert sorted(theirs, key=str) == sorted(map(ordered, ours), key=str)


def ordered(value: Any, key: str = "") -> Any:
    """The same, with lists whose order means nothing in one order."""
    if isinstance(value, dict):
        return {name: ordered(value[name], name) for name in sorted(value)}
    if isinstance(value, list):
        entries = [ordered(one) for one in value]
        called = CALLED_BY.get(key)
        return sorted(entries, key=lambda one: str(one[called])) if called else entries
    return value


def test_there_are_no_other_overlays() -> None:
    """Every overlay is one that the tests look at."""
    assert {path.name for path in (KUBERNETES / "overlays").iterdir()} == set(OVERLAYS)
