"""The manifests of deploy/kubernetes, and what they mean together."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from support.kustomize import Resource, documents, rendered
from support.source import ROOT

KUBERNETES = ROOT / "deploy/kubernetes"
# Each is applied with one command.
OVERLAYS = ("development", "production")
WITH_PODS = ("Deployment", "StatefulSet", "Job")
Rule = Mapping[str, Any]


class Manifests:
    """All that one cluster is given."""

    def __init__(self, resources: list[Resource]) -> None:
        self.resources = resources

    def all(self, kind: str) -> dict[str, Resource]:
        """Those of a kind, by name."""
        return {one["metadata"]["name"]: one for one in self.resources if one["kind"] == kind}

    @property
    def templates(self) -> dict[str, Resource]:
        """What the pods of each Deployment, StatefulSet and Job are made from."""
        return {
            name: one["spec"]["template"]
            for kind in WITH_PODS
            for name, one in self.all(kind).items()
        }

    def environment(self, name: str) -> dict[str, str | tuple[str, str]]:
        """The variables of a container: a value, or the Secret and its key."""
        container = self.container(name)
        told: dict[str, str | tuple[str, str]] = {}
        for source in container.get("envFrom", ()):
            told |= self.all("ConfigMap")[source["configMapRef"]["name"]]["data"]
        for one in container.get("env", ()):
            if "value" in one:
                told[one["name"]] = one["value"]
            else:
                secret = one["valueFrom"]["secretKeyRef"]
                told[one["name"]] = (secret["name"], secret["key"])
        return told

    def container(self, name: str) -> dict[str, Any]:
        """The only container of what is called so."""
        (container,) = self.templates[name]["spec"]["containers"]
        return dict(container)

    def policies(self, name: str, direction: str) -> list[list[Rule]]:
        """The rules of each policy that bounds a pod in a direction, Ingress or Egress."""
        labels = self.templates[name]["metadata"]["labels"]
        return [
            policy["spec"].get(direction.lower(), [])
            for policy in self.all("NetworkPolicy").values()
            if direction in policy["spec"]["policyTypes"]
            and selects(policy["spec"]["podSelector"], labels)
        ]

    def may_call(self, caller: str, called: str, port: int) -> bool:
        """Whether the policies let one pod call another at a port."""
        return all(
            any(
                _covers(rule, self.templates[other]["metadata"]["labels"], side, port)
                for rules in self.policies(one, direction)
                for rule in rules
            )
            for one, direction, other, side in (
                (caller, "Egress", called, "to"),
                (called, "Ingress", caller, "from"),
            )
        )


@cache
def of_overlay(name: str) -> Manifests:
    """What is applied, with the migrations and the namespace."""
    folder = KUBERNETES / "overlays" / name
    resources = rendered(folder) + documents(KUBERNETES / "namespace.yaml")
    if (folder / "migrations").exists():
        resources += rendered(folder / "migrations")
    return Manifests(resources)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a selector means something with these labels."""
    for one in selector.get("matchExpressions", ()):
        if one["operator"] != "In":
            raise ValueError(one)
        if labels.get(one["key"]) not in one["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def _covers(rule: Rule, labels: Mapping[str, str], side: str, port: int) -> bool:
    """Whether a rule allows this port, to or from a pod of the same namespace."""
    at = [(one["port"], one.get("endPort", one["port"])) for one in rule["ports"]]
    if not any(least <= port <= most for least, most in at):
        return False
    return any(
        "podSelector" in peer and selects(peer["podSelector"], labels)
        for peer in rule[side]
        if "namespaceSelector" not in peer
    )
