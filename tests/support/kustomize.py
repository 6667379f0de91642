"""What `kubectl kustomize` makes of deploy/kubernetes, where there is no kubectl.

Only what is used there, and of that only as it is used there: everything else is refused. Where
there is a kubectl, a test compares the two.
"""

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]
# A list of these is merged by what its entries are called; every other list is replaced.
CALLED_BY = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
WITH_PODS = {"Deployment", "Job", "StatefulSet"}
KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "components", "labels", "patches", "images",
    "configMapGenerator",
}  # fmt: skip


def documents(path: Path) -> list[Resource]:
    """All that a file describes."""
    return [one for one in yaml.safe_load_all(path.read_text()) if one is not None]


def rendered(folder: Path) -> list[Resource]:
    """What a folder with a kustomization.yaml describes; names of ConfigMaps have no hash."""
    return _folded(folder, [])


def with_component(resources: list[Resource], component: Path) -> list[Resource]:
    """The same with a component that is optional; whose they are, they stay."""
    added = _folded(component, copy.deepcopy(resources))
    (namespace,) = {one["metadata"].get("namespace") for one in resources} - {None}
    for one in added[len(resources) :]:
        one["metadata"]["namespace"] = namespace
    return added


def _folded(folder: Path, given: list[Resource]) -> list[Resource]:
    """What a kustomization, or a component of one, makes of what it is given and what it adds."""
    (told,) = documents(folder / "kustomization.yaml")
    _require_known(told, KNOWN, folder)
    resources = list(given)
    for name in told.get("resources", ()):
        path = folder / name
        resources += rendered(path) if path.is_dir() else documents(path)
    for name in told.get("components", ()):
        resources = _folded(folder / name, resources)
    for maker in told.get("configMapGenerator", ()):
        _generate(resources, maker, folder)
    for patch in told.get("patches", ()):
        resources = _patched(resources, patch, folder)
    for one in resources:
        if "namespace" in told:
            one["metadata"]["namespace"] = told["namespace"]
        for labels in told.get("labels", ()):
            _label(one, labels, folder)
        for container in _containers(one):
            container["image"] = _image(container["image"], told.get("images", ()))
    return resources


def _require_known(told: Mapping[str, Any], known: Iterable[str], where: Path) -> None:
    unknown = told.keys() - set(known)
    if unknown:
        message = f"{where}: {sorted(unknown)}: known to kubectl perhaps, and not to this"
        raise ValueError(message)


def _generate(resources: list[Resource], maker: Mapping[str, Any], folder: Path) -> None:
    """Make a ConfigMap, or add to one that is there."""
    _require_known(maker, {"name", "behavior", "literals", "files"}, folder)
    data = dict(literal.split("=", 1) for literal in maker.get("literals", ()))
    data |= {name: (folder / name).read_text() for name in maker.get("files", ())}
    if maker.get("behavior") == "merge":
        (one,) = [one for one in resources if _is(one, "ConfigMap", maker["name"])]
        one["data"] |= data
        return
    if [one for one in resources if _is(one, "ConfigMap", maker["name"])]:
        message = f"{folder}: there is a ConfigMap {maker['name']} already"
        raise ValueError(message)
    metadata = {"name": maker["name"]}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    resources.append(made)


def _patched(resources: list[Resource], patch: Mapping[str, Any], folder: Path) -> list[Resource]:
    """Merge a patch into whatever it is for, which must be something."""
    _require_known(patch, {"path", "target"}, folder)
    (new,) = documents(folder / patch["path"])
    target = patch.get("target") or {"kind": new["kind"], "name": new["metadata"]["name"]}
    _require_known(target, {"kind", "name"}, folder)
    meant = [_is(one, target["kind"], target.get("name", ".*")) for one in resources]
    if not any(meant):
        message = f"{folder}: {patch['path']} is for nothing that is there"
        raise ValueError(message)
    change = copy.deepcopy(new)
    # What it is, and what it is called, stays.
    for part in ("apiVersion", "kind"):
        del change[part]
    del change["metadata"]["name"]
    pairs = zip(resources, meant, strict=True)
    return [_merged(one, change) if is_meant else one for one, is_meant in pairs]


def _merged(old: Any, new: Any, key: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        both = {name: _merged(old.get(name), one, name) for name, one in new.items()}
        return {**old, **both}
    if isinstance(old, list) and key in CALLED_BY:
        called = CALLED_BY[key]
        entries = {one[called]: one for one in old}
        for one in new:
            entries[one[called]] = _merged(entries.get(one[called]), one)
        return list(entries.values())
    return copy.deepcopy(new)


def _label(one: Resource, labels: Mapping[str, Any], folder: Path) -> None:
    _require_known(labels, {"pairs", "includeTemplates"}, folder)
    places = [one["metadata"]]
    if labels.get("includeTemplates") and one["kind"] in WITH_PODS:
        places.append(one["spec"]["template"]["metadata"])
    for place in places:
        place["labels"] = {**place.get("labels", {}), **labels["pairs"]}


def _containers(one: Resource) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if one["kind"] in WITH_PODS:
        found = one["spec"]["template"]["spec"]["containers"]
    return found


def _image(image: str, images: Iterable[Mapping[str, str]]) -> str:
    name, _, _ = image.rpartition(":")
    for one in images:
        if one["name"] == name:
            return f"{one['newName']}:{one['newTag']}"
    return image


def _is(one: Resource, kind: str, name: str) -> bool:
    found = (re.fullmatch(kind, one["kind"]), re.fullmatch(name, one["metadata"]["name"]))
    return all(found)
